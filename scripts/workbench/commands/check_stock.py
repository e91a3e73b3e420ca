# SPDX-License-Identifier: GPL-2.0-or-later
"""
Compare all tests of QEMU with and without the series.

QEMU as it is released and QEMU with the series are built with all their tests.
All unit tests and all qtests of each run, also those that have nothing to do
with the series.  The table has what is not the same.  A test that only the
series has is not in it: the suites unit and qtest run it.

A test that fails with the series is run twice more, alone: a time limit on a
busy machine is no difference.

Exit status: 0 only if each test that passes without the series also does with
it.  It takes an hour.
"""

import json
import re
import subprocess
from pathlib import Path

from ..base.command import new_parser
from ..base.paths import write_whole
from ..base.steps import Bar, Failure, step
from ..base.tables import table
from ..build import qemu

SUITES = ('unit', 'qtest')
AGAIN = 2


def meson_test(build: Path, *options: str, bar: Bar | None = None
               ) -> dict[str, str]:
    """What meson test says of each test: 'OK', 'SKIP', 'FAIL' and the like."""
    command = [build / 'pyvenv/bin/meson', 'test', '--no-rebuild',
               '--timeout-multiplier', '2', '--logbase=stock', *options]
    with subprocess.Popen(command, cwd=build, text=True, errors='replace',
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        assert process.stdout
        for line in process.stdout:
            at = re.match(r' *(\d+)/(\d+) ', line)
            if bar and at:
                bar.draw(int(at[1]) / int(at[2]))
    log = build / 'meson-logs' / 'stock.json'
    return results(log.read_text() if log.exists() else '')


def results(log: str) -> dict[str, str]:
    """By the test's name, from meson's log: one JSON object in each line."""
    found = (json.loads(line) for line in log.splitlines())
    return {one['name'].split(' / ')[-1]: one['result'] for one in found}


def outcome(title: str, tree: Path, build: Path) -> dict[str, str]:
    """What all tests of a QEMU say."""
    qemu.compile_targets(tree, build, title=f'Build all of QEMU {title}')
    suites = [word for suite in SUITES for word in ('--suite', suite)]
    found = step(f'Run all tests of QEMU {title}',
                 lambda bar: meson_test(build, *suites, bar=bar))
    if not found:
        raise Failure(f'{build} has no tests')
    return found


def different(stock: dict[str, str], series: dict[str, str]) -> list[str]:
    """Names of the tests that pass without the series, and not with it."""
    return sorted(name for name, result in stock.items()
                  if result == 'OK' and series.get(name) != 'OK')


def count(found: dict[str, str], result: str) -> str:
    return str(sum(one == result for one in found.values()))


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check stock --base 10.2')
    parser.parse_args()
    stock_build = qemu.build_to_compare('stock', []).parent
    qemu.build_qemu()
    tree = qemu.tree()
    stock = outcome('without the series', stock_build.parent, stock_build)
    build = tree.path / 'build'
    series = outcome('with the series', tree.path, build)
    for _ in range(AGAIN):
        names = [name for name in different(stock, series) if name in series]
        if names:
            series |= meson_test(build, '--num-processes', '1', *names)
    write_whole(build / 'stock.json', json.dumps([stock, series]))

    own = {name: series[name] for name in stock if name in series}
    states = sorted({*stock.values(), *own.values()})
    print(table([['tests that QEMU has anyway', *states],
                 *([title, *(count(found, one) for one in states)]
                   for title, found in (('without the series', stock),
                                        ('with the series', own)))]))
    wrong = different(stock, series)
    if wrong:
        print(table([['test', 'without', 'with the series'],
                     *([name, stock[name], series.get(name, 'is not there')]
                       for name in wrong)]))
    return 1 if wrong else 0
