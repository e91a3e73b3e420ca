# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of the series' new code unit tests and qtests execute."""

import json
import shutil
import subprocess
from pathlib import Path

from ..base.steps import Failure, run
from ..build import instrumented, qemu, series
from ..build.qemu import Tree

LINES, BRANCHES = 95, 85        # per cent, at least

# It is about QEMU's devices, which are not among the files that are measured
LONG = ('private-memory-devices-test',)


def forget(build: Path) -> None:
    """Forget what was executed so far."""
    shutil.rmtree(instrumented.counts(), ignore_errors=True)
    for old in build.rglob('*.gcda'):
        old.unlink()


def run_tests(tree: Tree, build: Path, all_of_them: bool) -> None:
    """
    Run the series' unit tests, and its qtests with the QEMU of this build:
    those that take long only if all are wanted.

    The programs of the qtests are those of the ordinary build: they fork, and
    a child of a program with the address sanitizer may wait for a lock that
    another thread of its parent held.
    """
    forget(build)
    names = series.present(build, qemu.series_tests(tree))
    units = [name for name in names if not name.startswith('qtest')]
    qtests = [short for name in names if name not in units and
              ((short := name.split('/')[-1]) not in LONG or all_of_them)]
    if not units or not qtests:
        raise Failure(f'no tests of the series are built in {build}: does '
                      'patches/ add tests?')
    run('Run unit tests',
        [build / 'pyvenv/bin/meson', 'test', '--no-rebuild',
         '--print-errorlogs', '--timeout-multiplier', '5', *units],
        cwd=build, log='coverage-unit', env=instrumented.environment())
    ordinary = tree.path / 'build'
    for name in qtests:
        run(f'Run {name}', [ordinary / 'tests' / 'qtest' / name, '--tap', '-k'],
            cwd=ordinary, log=f'coverage-{name}',
            env={**instrumented.environment(),
                 'QTEST_QEMU_BINARY': str(build / 'qemu-system-x86_64')})


def gcovr(tree: Tree) -> list[str | Path]:
    return ['gcovr', '--root', tree.path]


def measure(tree: Tree, build: Path) -> Path:
    """What the last runs executed, as gcovr takes it."""
    files = instrumented.new_files(tree)
    report = build / 'coverage.json'
    # An object's name is its source's, with its directory
    objects = tuple(name.replace('/', '_') for name in files)
    for data in instrumented.counts().rglob('*.gcda'):
        if data.stem.endswith(objects):
            shutil.copy(data, '/' / data.relative_to(instrumented.counts()))
    for data in build.rglob('*.gcno'):
        if not data.stem.endswith(objects):
            data.unlink()
    shutil.rmtree(instrumented.counts(), ignore_errors=True)
    filters = [option for name in files
               for option in ('--filter', f'{tree.path / name}$')]
    run('Collect what was executed',
        [*gcovr(tree), '--object-directory', build,
         '--gcov-executable', 'llvm-cov gcov', '--json', report,
         # Of an assertion one outcome is never seen; in g_new() it is the
         # macro that decides
         '--exclude-branches-by-pattern',
         r'.*\b((g_)?assert|g_(re)?new0?)\(.*', *filters],
        cwd=build, log='coverage-gcovr')
    return report


def edges(tree: Tree, report: Path) -> tuple[int, int]:
    """How many were taken, of how many."""
    said = json.loads(subprocess.run(
        [*gcovr(tree), '--add-tracefile', report, '--json-summary', '-'],
        check=True, capture_output=True, text=True).stdout)
    return said['branch_covered'], said['branch_total']


def show(all_of_them: bool) -> int:
    """Returns 1 if less than it should be was executed."""
    qemu.build_qemu()
    tree = qemu.tree()
    build = instrumented.build(tree)
    run_tests(tree, build, all_of_them)
    report = measure(tree, build)
    status = 0
    for options in (['--fail-under-line', str(LINES)],
                    ['--branches', '--fail-under-branch', str(BRANCHES)]):
        said = subprocess.run(
            [*gcovr(tree), '--add-tracefile', report, '--txt', *options],
            check=False, capture_output=True, text=True)
        print(said.stdout + said.stderr)
        status |= said.returncode
    return min(status, 1)
