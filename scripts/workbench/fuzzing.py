# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzz private memory: QEMU's fuzzer with the target of the series."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from . import coverage, instrumented, qemu
from .bench import table
from .paths import REPO, build_dir
from .steps import Bar, Failure, run_logged, step

TARGET = 'private-memory'
# Inputs that reach all that is known to be reachable; kept small
CORPUS = REPO / 'tests' / 'fuzz' / 'corpus'
LONGEST = 256           # bytes: the target takes no more steps


@dataclass(frozen=True)
class Result:
    """What libFuzzer says of a run."""
    runs: int
    per_second: int

    @classmethod
    def parse(cls, log: str) -> 'Result':
        runs = re.search(r'number_of_executed_units: (\d+)', log)
        speed = re.search(r'average_exec_per_sec: *(\d+)', log)
        if not (runs and speed):
            raise Failure('the fuzzer did not say how far it came')
        return cls(int(runs[1]), int(speed[1]))


def fuzzer(build: Path, *arguments: str) -> list[str]:
    return [str(build / instrumented.FUZZER), f'--fuzz-target={TARGET}',
            *arguments]


def fuzz(seconds: int, keep: bool) -> int:
    """Fuzz for a time; inputs that are worth it are kept in the repo if asked
    for.  Raises Failure if something was found."""
    tree = qemu.tree()
    build = instrumented.build(tree)
    coverage.forget(build)
    found = build_dir() / 'fuzz'
    inputs = found / 'corpus'
    inputs.mkdir(parents=True, exist_ok=True)
    CORPUS.mkdir(parents=True, exist_ok=True)

    def go(bar: Bar) -> None:
        # QEMU's own messages, one for each refusal, are not wanted
        run_logged(fuzzer(build, f'-max_total_time={seconds}',
                          f'-max_len={LONGEST}', '-timeout=60',
                          '-print_final_stats=1', '-close_fd_mask=3',
                          '-detect_leaks=0',
                          f'-artifact_prefix={found}/', str(inputs),
                          str(CORPUS)),
                   bar, log='fuzz', env=instrumented.environment())

    try:
        step(f'Fuzz for {seconds} s', go)
    except Failure as failure:
        raise Failure(f'{failure}; the input that does it is in {found}, run '
                      'scripts/fuzz --input with it') from None
    result = Result.parse(
        (build_dir() / 'logs' / 'fuzz.log').read_text(errors='replace'))
    files = coverage.measure(tree, build)
    print(table([['inputs', 'per second', 'edges of the new files', ''],
                 [str(result.runs), str(result.per_second),
                  *coverage.total(files).row()[3:]]]))
    if keep:
        step('Keep the inputs that are needed',
             lambda bar: minimize(build, bar, inputs))
        print(f'{len(list(CORPUS.iterdir()))} inputs in {CORPUS}')
    return 0


def minimize(build: Path, bar: Bar, inputs: Path) -> None:
    """Make the corpus the smallest that reaches the same."""
    merged = inputs.with_name('merged')
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    run_logged(fuzzer(build, '-merge=1', '-close_fd_mask=3', '-detect_leaks=0', str(merged),
                      str(CORPUS), str(inputs)),
               bar, log='fuzz-merge', env=instrumented.environment())
    for old in CORPUS.iterdir():
        old.unlink()
    for new in merged.iterdir():
        shutil.copy(new, CORPUS)


def replay(file: Path) -> int:
    """Run one input, with all that QEMU says."""
    build = instrumented.build(qemu.tree())
    return subprocess.run(fuzzer(build, str(file.resolve())), check=False,
                          env=instrumented.environment()).returncode
