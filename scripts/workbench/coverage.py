# SPDX-License-Identifier: GPL-2.0-or-later
"""How much of the series' new code unit tests and qtests execute."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from . import instrumented, qemu, series
from .bench import TARGET_HEAD, Target, table
from .qemu import Tree
from .steps import Failure, run

LINES, BRANCHES = 95, 85        # per cent, at least
LINES_REPORT = 'coverage-lines.json'


@dataclass(frozen=True)
class Covered:
    """What was executed of what there is."""
    name: str
    lines: int
    all_lines: int
    branches: int
    all_branches: int

    def row(self) -> list[str]:
        return [self.name, f'{self.lines}/{self.all_lines}',
                percent(self.lines, self.all_lines),
                f'{self.branches}/{self.all_branches}',
                percent(self.branches, self.all_branches)]


def percent(part: int, whole: int) -> str:
    return f'{100 * part / whole:.1f} %' if whole else '-'


def forget(build: Path) -> None:
    """Forget what was executed so far."""
    shutil.rmtree(instrumented.counts(), ignore_errors=True)
    for old in build.rglob('*.gcda'):
        old.unlink()


def run_tests(tree: Tree, build: Path) -> None:
    """
    Run the series' unit tests, and its qtests with the QEMU of this build.

    The programs of the qtests are those of the ordinary build: they fork, and
    a child of a program with the address sanitizer may wait for a lock that
    another thread of its parent held.
    """
    forget(build)
    names = series.present(build, qemu.series_tests(tree))
    units = [name for name in names if not name.startswith('qtest')]
    qtests = [name.split('/')[-1] for name in names if name not in units]
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


def measure(tree: Tree, build: Path) -> list[Covered]:
    """What the last runs executed."""
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
        ['gcovr', '--root', tree.path, '--object-directory', build,
         '--gcov-executable', 'llvm-cov gcov', '--json-summary', report,
         '--json', build / LINES_REPORT,
         # Of an assertion one outcome is never seen; in g_new() it is the
         # macro that decides
         '--exclude-branches-by-pattern',
         r'.*\b((g_)?assert|g_(re)?new0?)\(.*', *filters],
        cwd=build, log='coverage-gcovr')
    return [Covered(file['filename'], file['line_covered'],
                    file['line_total'], file['branch_covered'],
                    file['branch_total'])
            for file in json.loads(report.read_text())['files']]


def total(files: list[Covered]) -> Covered:
    return Covered('all', *(sum(getattr(file, name) for file in files)
                            for name in ('lines', 'all_lines', 'branches',
                                         'all_branches')))


def missed_lines(build: Path) -> dict[str, list[int]]:
    """Numbers of the lines of each file that were not executed, or not in all
    ways."""
    def missed(line: dict) -> bool:
        return not line['gcovr/noncode'] and (
            not line['count'] or
            any(not branch['count'] for branch in line['branches']))

    data = json.loads((build / LINES_REPORT).read_text())
    return {file['file']: [line['line_number'] for line in file['lines']
                           if missed(line)]
            for file in data['files']}


def show(missed: bool) -> int:
    """Returns 1 if less than it should be was executed."""
    qemu.build_qemu()
    tree = qemu.tree()
    build = instrumented.build(tree)
    run_tests(tree, build)
    files = measure(tree, build)
    whole = total(files)
    print(table([['file', 'lines', '', 'branches', ''],
                 *(file.row() for file in [*files, whole])]))
    goals = [Target('lines', 100 * whole.lines / whole.all_lines, LINES,
                    at_least=True, unit=' %'),
             Target('branches', 100 * whole.branches / whole.all_branches,
                    BRANCHES, at_least=True, unit=' %')]
    print(table([TARGET_HEAD, *(goal.row() for goal in goals)]))
    if missed:
        for name, numbers in missed_lines(build).items():
            print(f'{name}: {", ".join(map(str, numbers))}')
    return 0 if all(goal.measured >= goal.limit for goal in goals) else 1
