# SPDX-License-Identifier: GPL-2.0-or-later
"""
How soon a guest runs whose memory is private from the start, in one run:

all    KVM is told of all memory before the guest runs (lazy=off)
lazy   it is told when the guest first uses memory, as is the default

The guest says with each access what it means, as one of SEV-SNP does; that needs
the test kernel.  First is the time until its first line; used is what it then
takes to use a page in each 64 MiB.  Medians of some rounds.
"""

import argparse
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from .bench import TARGET_HEAD, Target, table
from .build import build
from .paths import REPO
from .steps import Bar, main, step
from .surroundings import inside

MEMORY = (1, 4, 16)             # GiB that are private
KINDS = {'all': 'off', 'lazy': 'on'}
OWN = 64                        # MiB that the payload is in
CHUNK = 64 << 20                # bytes, as QEMU's GUEST_MEMFD_CHUNK_SIZE
MOST = 1.2                      # times as long for the most memory
LIMIT = 1800                    # seconds, for all

Seconds = tuple[float, float]   # until the first line, for all that is used


def measure(memory: int, kind: str) -> Seconds:
    # QEMU's own Python package is there only inside
    from .guest import Guest
    with tempfile.TemporaryDirectory() as directory:
        guest = Guest(
            'lazy', directory=Path(directory), trace=False,
            memory=f'{OWN + (memory << 10)}M',
            parameters={'chunk': CHUNK, 'intent': 1},
            arguments=[
                '-object', f'memory-backend-memfd-private,id=own,size={OWN}M',
                '-object', 'memory-backend-memfd-private,id=private,'
                f'size={memory}G,initial=private,lazy={KINDS[kind]}',
                '-numa', 'node,memdev=own', '-numa', 'node,memdev=private'])
        try:
            begin = time.monotonic()
            guest.launch()
            guest.wait_for_line('# step first')
            first = time.monotonic()
            guest.wait_for_line('# step done')
            done = time.monotonic()
        finally:
            guest.stop()
    return first - begin, done - first


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('rounds', type=int)
    rounds = parser.parse_args().rounds
    found: dict[tuple[int, str], list[Seconds]] = {}

    def all_of_it(bar: Bar) -> None:
        runs = [(memory, kind) for _ in range(rounds) for memory in MEMORY
                for kind in KINDS]
        for number, run in enumerate(runs):
            bar.draw(number / len(runs))
            found.setdefault(run, []).append(measure(*run))

    def median(memory: int, kind: str, part: int) -> float:
        return statistics.median(times[part] for times in
                                 found[memory, kind])

    step('Start guests with private memory', all_of_it)
    rows = [['private', *(f'{kind}: {part} s' for kind in KINDS
                          for part in ('first', 'used'))]]
    for memory in MEMORY:
        rows.append([f'{memory} GiB', *(f'{median(memory, kind, part):.2f}'
                                        for kind in KINDS for part in (0, 1))])
    print(f'\n{table(rows, left=1)}\n')
    print(table([TARGET_HEAD, *(
        Target(f'{kind}: first, {MEMORY[-1]} GiB / {MEMORY[0]} GiB',
               median(MEMORY[-1], kind, 0) / median(MEMORY[0], kind, 0),
               MOST).row() for kind in KINDS)]))
    return 0


def run(options: argparse.Namespace) -> int:
    build('bzImage-new', 'tests/guest/lazy.bin', 'qemu-version')
    command = [REPO / 'scripts' / 'with-kvm', '--kernel', 'new', '--timeout',
               str(LIMIT), '--', *inside('python3', '-m',
               'workbench.bench_start', str(options.rounds))]
    return subprocess.run(command, check=False,
                          stdin=subprocess.DEVNULL).returncode


if __name__ == '__main__':
    main(body)
