# SPDX-License-Identifier: GPL-2.0-or-later
"""Fuzz private memory: QEMU's fuzzer with the targets of the series."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..base.paths import REPO, build_dir
from ..base.steps import Bar, Failure, run_logged, step
from ..base.tables import table
from ..build import instrumented, qemu
from . import coverage

# What is fuzzed, and where its inputs are: those that reach all that is known
# to be reachable; kept small
CORPORA = {
    'private-memory': REPO / 'tests' / 'fuzz' / 'corpus',
    'private-memory-access': REPO / 'tests' / 'fuzz' / 'corpus-access',
}
# Per cent of the edges of the new files that must be reached.  The corpus alone
# reaches more; a target that does nothing does not.
EDGES = 30
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
            raise Failure('the fuzzer ended without statistics: see '
                          'logs/fuzz.log in the build directory')
        return cls(int(runs[1]), int(speed[1]))


def check(result: Result, inputs: int, taken: int, edges: int) -> None:
    """Failure if what ran was no fuzzing."""
    if result.runs < inputs:
        raise Failure(f'{result.runs} inputs were run, fewer than the {inputs} '
                      'of the corpus: give it more --seconds')
    if 100 * taken < EDGES * edges:
        raise Failure(f'{taken} of {edges} edges of the new files were '
                      f'reached, less than {EDGES} %: does the target do '
                      'anything?')


def fuzzer(build: Path, target: str, *arguments: str) -> list[str]:
    return [str(build / instrumented.FUZZER), f'--fuzz-target={target}',
            *arguments]


def fuzz(targets: list[str], seconds: int, keep: bool) -> None:
    """Fuzz each for a time; inputs that are worth it are kept in the repo if
    asked for.  Raises Failure if something was found."""
    tree = qemu.tree()
    build = instrumented.build(tree)
    rows = [['target', 'inputs', 'per second', 'edges of the new files']]
    for target in targets:
        result = fuzz_one(build, target, seconds, keep)
        taken, edges = coverage.edges(tree, coverage.measure(tree, build))
        check(result, len(list(CORPORA[target].iterdir())), taken, edges)
        rows.append([target, str(result.runs), str(result.per_second),
                     f'{taken}/{edges}'])
    print(table(rows))


def fuzz_one(build: Path, target: str, seconds: int, keep: bool) -> Result:
    coverage.forget(build)
    found = build_dir() / 'fuzz'
    corpus = CORPORA[target]
    inputs = found / corpus.name
    inputs.mkdir(parents=True, exist_ok=True)
    corpus.mkdir(parents=True, exist_ok=True)

    def go(bar: Bar) -> None:
        # QEMU's own messages, one for each refusal, are not wanted
        run_logged(fuzzer(build, target, f'-max_total_time={seconds}',
                          f'-max_len={LONGEST}', '-timeout=60',
                          '-print_final_stats=1', '-close_fd_mask=3',
                          '-detect_leaks=0',
                          f'-artifact_prefix={found}/', str(inputs),
                          str(corpus)),
                   bar, log=f'fuzz-{target}', env=instrumented.environment())

    try:
        step(f'Fuzz {target} for {seconds} s', go)
    except Failure as failure:
        raise Failure(f'{failure}; the input that does it is in {found}, run '
                      f'scripts/check fuzz --target {target} --input with it'
                      ) from None
    log = build_dir() / 'logs' / f'fuzz-{target}.log'
    result = Result.parse(log.read_text(errors='replace'))
    if keep:
        step('Add the inputs that reach new code to the corpus',
             lambda bar: minimize(build, target, bar, inputs))
        print(f'{len(list(corpus.iterdir()))} inputs in {corpus}')
    return result


def minimize(build: Path, target: str, bar: Bar, inputs: Path) -> None:
    """Make the corpus the smallest that reaches the same."""
    corpus = CORPORA[target]
    merged = inputs.with_name('merged')
    shutil.rmtree(merged, ignore_errors=True)
    merged.mkdir()
    run_logged(fuzzer(build, target, '-merge=1', '-close_fd_mask=3',
                      '-detect_leaks=0', str(merged), str(corpus),
                      str(inputs)),
               bar, log='fuzz-merge', env=instrumented.environment())
    for old in corpus.iterdir():
        old.unlink()
    for new in merged.iterdir():
        shutil.copy(new, corpus)


def replay(target: str, file: Path) -> int:
    """Run one input, with all that QEMU says."""
    build = instrumented.build(qemu.tree())
    return subprocess.run(fuzzer(build, target, str(file.resolve())), check=False,
                          env=instrumented.environment()).returncode
