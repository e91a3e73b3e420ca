# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory cgroups: how much host memory a process really uses."""

from pathlib import Path

CGROUPS = Path('/sys/fs/cgroup')


class MemoryCgroup:
    """A memory cgroup (v2); OSError from its constructor if there is none."""

    def __init__(self, name: str) -> None:
        control = CGROUPS / 'cgroup.subtree_control'
        control.write_text('+memory')
        self.path = CGROUPS / name
        self.path.mkdir(exist_ok=True)

    def wrapper(self) -> list[str]:
        """Put before a command, it runs the command in the cgroup."""
        return ['/bin/sh', '-c',
                f'echo $$ >{self.path}/cgroup.procs && exec "$0" "$@"']

    def peak(self) -> int:
        """The most bytes that ever were."""
        return int((self.path / 'memory.peak').read_text())

    def statistics(self, *names: str) -> int:
        """Sum of some kinds of memory in its memory.stat, in bytes."""
        lines = (self.path / 'memory.stat').read_text().splitlines()
        values = dict(line.split() for line in lines)
        return sum(int(values[name]) for name in names)

    def nodes(self, *names: str) -> list[int]:
        """The same for each NUMA node."""
        lines = (self.path / 'memory.numa_stat').read_text().splitlines()
        values = {name: [int(node.split('=')[1]) for node in nodes]
                  for name, *nodes in map(str.split, lines)}
        return [sum(column) for column in
                zip(*(values[name] for name in names))]

    def remove(self) -> None:
        self.path.rmdir()
