# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers of the monitor while a guest converts memory."""

import argparse
import subprocess
import tempfile
import time
from pathlib import Path
from statistics import median

from ..base.paths import REPO
from ..base.steps import Bar, main, step
from ..base.tables import TARGET_HEAD, Target, table
from ..build.meson import build
from ..machine.surroundings import inside

NOISE, LITTLE, MUCH = 2, 512, 2048              # MiB that are converted
RUNS = {64: 3, 4: 1}                            # KiB: how often
MOST = 100                                      # ms, for an answer
LIMIT = 1500                                    # seconds, for all


def measure(size: int, run: int, directory: Path) -> list[float]:
    """Milliseconds of each answer."""
    # QEMU's own Python package is there only inside
    from ..guest.guest import Guest
    guest = Guest(
        'large', directory=directory, memory='8G', trace=False,
        machine='q35,memory-backend=ram0',
        parameters={'size': size << 20, 'run': run << 10,
                    'count': RUNS[run] * (LITTLE // NOISE if size == NOISE
                                          else 1)},
        arguments=['-object', 'memory-backend-memfd-private,id=ram0,size=8G,'
                   'reserve=off'])
    answers: list[float] = []
    try:
        guest.launch()
        while '# step done' not in guest.serial():
            before = time.monotonic()
            guest.cmd('query-status')
            answers.append(1000 * (time.monotonic() - before))
            time.sleep(0.001)
        return answers
    finally:
        guest.shutdown(hard=True)


def body() -> int:
    argparse.ArgumentParser(description=__doc__).parse_args()
    rows = [['converted', 'in runs of', 'answers', 'median ms', 'longest ms']]
    targets = []

    def all_of_it(bar: Bar) -> None:
        cases = [(size, run) for run in RUNS for size in (NOISE, LITTLE, MUCH)]
        for number, (size, run) in enumerate(cases):
            bar.draw(number / len(cases))
            with tempfile.TemporaryDirectory() as directory:
                answers = measure(size, run, Path(directory))
            name = f'{size} MiB'
            rows.append([name, f'{run} KiB', str(len(answers)),
                         f'{median(answers):.1f}', f'{max(answers):.1f}'])
            targets.append(Target(f'{name} in runs of {run} KiB: longest',
                                  max(answers), MOST, unit=' ms'))

    step('Ask the monitor while a guest converts', all_of_it)
    print(f'\n{table(rows, left=2)}\n')
    print(table([TARGET_HEAD, *(target.row() for target in targets)]))
    return 0


def run(_options: argparse.Namespace) -> int:
    build('bzImage-lts', 'tests/guest/large.bin', 'qemu-version')
    command = [REPO / 'scripts' / 'with-kvm', '--timeout', str(LIMIT), '--',
               *inside('python3', '-m', 'workbench.measure.monitor')]
    return subprocess.run(command, check=False,
                          stdin=subprocess.DEVNULL).returncode


if __name__ == '__main__':
    main(body)
