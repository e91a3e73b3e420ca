# SPDX-License-Identifier: GPL-2.0-or-later
"""Deliberate faults in the series, which tests must notice."""

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from . import qemu, series
from .bench import table
from .paths import REPO, build_dir
from .qemu import Tree, git, patches
from .steps import Failure, step

FAULTS = REPO / 'tests' / 'mutation' / 'faults.toml'
LIMIT = 300     # seconds for all tests, which a fault may make hang


@dataclass(frozen=True)
class Fault:
    name: str
    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        path = tree / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise Failure(f'{FAULTS.name}: "{self.name}": what it replaces is '
                          f'{text.count(self.old)} times in {self.file}, not '
                          'once')
        path.write_text(text.replace(self.old, self.new))


def faults() -> list[Fault]:
    return [Fault(**fault)
            for fault in tomllib.loads(FAULTS.read_text())['fault']]


def failed_tests(tree: Tree, build: Path) -> list[str]:
    """Build, run what the series has in tests, and say what failed."""
    built = subprocess.run(['ninja', *qemu.targets(tree, build)], cwd=build,
                           env=qemu.environment(tree.path), check=False,
                           capture_output=True)
    if built.returncode:
        return ['build']
    failed = []
    for name in series.present(build, qemu.series_tests(tree)):
        try:
            status = subprocess.run(
                [build / 'pyvenv/bin/meson', 'test', '--no-rebuild', name],
                cwd=build, check=False, capture_output=True,
                timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            status = 1
        if status:
            failed.append(name.split('/')[-1])
    return failed


def run(wanted: str) -> int:
    """Make each fault whose name contains `wanted`; returns 1 if nothing
    notices one of them."""
    tree = Tree(qemu.place('mutation'), qemu.source())
    build = tree.path / 'build'
    step('Unpack QEMU and apply the series',
         lambda bar: tree.create(bar, patches()))
    qemu.configure(tree.path, build)
    rows = [['fault', 'noticed by']]
    missed = 0

    def check(bar, fault: Fault | None) -> None:
        if fault:
            fault.apply(tree.path)
        found.extend(failed_tests(tree, build))
        git(tree.path, 'checkout', '--', '.')

    found: list[str] = []
    step('Without a fault', lambda bar: check(bar, None))
    if found:
        raise Failure(f'fails without any fault: {", ".join(found)}')
    for fault in faults():
        if wanted not in fault.name:
            continue
        found = []
        step(fault.name, lambda bar, fault=fault: check(bar, fault))
        rows.append([fault.name, ', '.join(found) or 'NOTHING'])
        missed += not found or found == ['build']
    print(table(rows, left=2))
    return 1 if missed else 0
