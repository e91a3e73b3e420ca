# SPDX-License-Identifier: GPL-2.0-or-later
"""Which tests of tests/meson.build are to run, and what became of them."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass

from ..base.paths import build_dir
from ..base.tables import table
from . import stamps
from .stamps import Stamp, State, Test

LOGS = 'check'          # meson's, for what this runs
SLOWEST = 10


@dataclass
class Planned:
    """A test, and why it is run or why not."""
    test: Test
    parts: dict[str, str] | None
    stamp: Stamp | None         # that it passed with these
    why: str


def anything_else() -> str:
    """What this run has that stamps do not know of; '' if nothing."""
    binary = os.environ.get('QMP_QEMU_BINARY')
    return f'QMP_QEMU_BINARY is {binary}' if binary else ''


def plan(test: Test, take_stamps: bool) -> Planned:
    if test.nightly:
        return Planned(test, None, None, 'nightly')
    parts = test.parts()
    if parts is None:
        return Planned(test, None, None, 'not in INPUTS of stamps.py')
    if anything_else():
        return Planned(test, None, None, anything_else())
    if not take_stamps:
        return Planned(test, parts, None, 'asked for')
    stamp = stamps.find(test.name, parts)
    if stamp:
        return Planned(test, parts, stamp, f'passed {stamp.date()}, the same '
                       f'since: {", ".join(parts)}')
    last = stamps.last(test.name)
    changed = ', '.join(last.changed(parts)) if last else ''
    return Planned(test, parts, None,
                   f'changed since {last.date()}: {changed}' if last else
                   'has not passed before')


def wanted(state: State, suites: list[str], nightly: bool) -> list[Test]:
    return [test for test in stamps.tests(state)
            if (nightly or not test.nightly) and
            (not suites or set(suites) & set(test.suites))]


@dataclass
class Result:
    """Of a test, from meson's log."""
    name: str
    suite: str
    passed: bool
    skipped: bool
    seconds: float
    output: str

    def tests(self) -> Iterator[tuple[float, str]]:
        """Seconds and names of the tests that it has run itself."""
        for line in self.output.splitlines():
            ours = re.match(r'(?:ok|FAILED|cancelled) +([\d.]+) s  (\S+)$',
                            line)
            mesons = re.match(r' *\d+/\d+ (\S+:.* / )?(?P<name>\S+) +[A-Z]+ +'
                              r'(?P<seconds>[\d.]+)s', line)
            if ours:
                yield float(ours[1]), f'{self.name}: {ours[2]}'
            elif mesons:
                yield float(mesons['seconds']), f'{self.name}: {mesons["name"]}'

    def tables(self) -> str:
        """What it ends with, if that is a table, ours or gcovr's."""
        begin = re.search('^(==|--)', self.output, re.MULTILINE)
        return f'\n{self.name}:\n{self.output[begin.start():]}' if begin else ''


def results() -> dict[str, Result]:
    """What meson has run, as far as it came."""
    found = {}
    for log in (build_dir() / 'meson-logs').glob(f'{LOGS}*.json'):
        for line in log.read_text().splitlines():
            test = json.loads(line)
            name = test['name'].split(' / ')[-1]
            suite = test['name'].split(' / ')[0].partition(':')[2]
            found[name] = Result(name, suite,
                                 test['result'] in ('OK', 'EXPECTEDFAIL'),
                                 test['result'] == 'SKIP', test['duration'],
                                 test.get('stdout', ''))
    return found


def run(names: list[str], nightly: bool) -> int:
    """Have meson run these; its exit status."""
    for log in (build_dir() / 'meson-logs').glob(f'{LOGS}*.json'):
        log.unlink()
    setup = ['--setup=nightly'] if nightly else []
    meson = subprocess.Popen(
        ['/usr/bin/meson', 'test', '-C', build_dir(), '--no-rebuild',
         '--print-errorlogs', f'--logbase={LOGS}', *setup, *names])
    try:
        return meson.wait()
    except BaseException:
        # It ends what it runs, and writes what it knows
        meson.terminate()
        meson.wait()
        raise


def remember(planned: list[Planned], done: dict[str, Result],
             after: State) -> list[str]:
    """
    Leave a stamp for each test that passed, and take it from one that failed.
    Names of those that passed with something that is not there any more: it
    changed while they ran.
    """
    changed = []
    for one in planned:
        result = done.get(one.test.name)
        if not result or not one.parts:
            continue
        if not result.passed:
            stamps.remove(one.test.name, one.parts)
        elif Test(one.test.name, one.test.suites, one.test.command,
                  after).parts() == one.parts:
            stamps.write(one.test.name, one.parts, result.seconds)
        else:
            changed.append(one.test.name)
    return changed


def rows(planned: list[Planned], done: dict[str, Result],
         not_run: str) -> list[list[str]]:
    """Test, what became of it, seconds, and why."""
    found = [['test', 'result', 'seconds', 'why']]
    for one in planned:
        result = done.get(one.test.name)
        if one.stamp:
            found.append([one.test.name, 'reused', '-', one.why])
        elif not result:
            found.append([one.test.name, not_run, '-', one.why])
        else:
            said = ('passed' if result.passed else
                    'skipped' if result.skipped else 'FAILED')
            found.append([one.test.name, said, f'{result.seconds:.0f}',
                          one.why])
    return found


def slowest(done: dict[str, Result]) -> str:
    """A table of the tests within these that took longest."""
    # meson says again at its end what failed
    tests = sorted({test for result in done.values()
                    for test in result.tests()}, reverse=True)[:SLOWEST]
    if not tests:
        return ''
    return table([['slowest tests', 'seconds', ''],
                  *([name, f'{seconds:.1f}', ''] for seconds, name in tests)])


def check(suites: list[str], *, take_stamps: bool, nightly: bool,
          dry_run: bool, start: float) -> int:
    """Run what has to be run; 1 if something did not pass."""
    planned = [plan(test, take_stamps)
               for test in wanted(State(), suites, nightly)]
    names = [one.test.name for one in planned if not one.stamp]
    done: dict[str, Result] = {}
    changed: list[str] = []
    status = 0
    if names and not dry_run:
        try:
            status = run(names, nightly)
        finally:
            # Also of a run that was interrupted
            done = results()
            changed = remember(planned, done, State())
        for result in done.values():
            if result.suite in ('coverage', 'fuzz'):
                print(result.tables())
    print('\n' + table(rows(planned, done, 'to run' if dry_run else 'not run')))
    print(slowest(done))
    for name in changed:
        print(f'{name} passed, but what decides that changed while it ran: it '
              'will run again')
    if dry_run:
        print(f'{len(planned) - len(names)} would be reused, {len(names)} run')
        return 0
    passed = sum(result.passed for result in done.values())
    skipped = sum(result.skipped for result in done.values())
    failed = len(names) - passed - skipped
    print(f'{passed} passed, {failed} failed, {skipped} skipped, '
          f'{len(planned) - len(names)} reused, in '
          f'{time.monotonic() - start:.0f} s')
    return 1 if status or failed else 0
