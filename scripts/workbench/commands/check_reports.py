# SPDX-License-Identifier: GPL-2.0-or-later
"""
Show that QEMU without the series has the faults of reports/.

Each reproducer of reports/reproducers.txt is a qtest of the series.  It runs on
QEMU as it is released: built here, or --binary.  The table says what happens:

ends     QEMU ends, by an assertion or by a signal
hangs    QEMU, or what the guest waits for, does not go on within ten seconds
wrong    the test finds a wrong result
passes   this version does not have the fault

Exit status: 0 only if the same happens as reports/reproducers.txt says.

QEMU with the series must be built: its tests are used.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from ..base import bases
from ..base.command import new_parser
from ..base.paths import REPO, build_dir
from ..base.steps import Bar, Failure, step
from ..base.tables import table
from ..build import qemu

LIST = REPO / 'reports' / 'reproducers.txt'
LIMIT = 10
ENDED = re.compile(r'Assertion `|detected QEMU death|Broken pipe|'
                   r'Connection reset')


@dataclass(frozen=True)
class Reproducer:
    """One line of the list; `happens` is by version of QEMU."""
    test: str
    path: str
    happens: dict[str, str]
    where: str


def read(text: str) -> list[Reproducer]:
    found = []
    for line in text.splitlines():
        if not line or line.startswith('#'):
            continue
        words = [word.strip() for word in line.split('|')]
        if len(words) != 3 + len(bases.BASES):
            raise Failure(f'{LIST}: not TEST | PATH | one word for each QEMU '
                          f'| FILE: WHAT, but {line}')
        test, path, *happens, where = words
        found.append(Reproducer(test, path, dict(zip(bases.BASES, happens)),
                                where))
    return found


def happens(test: Path, path: str, binary: Path) -> str:
    try:
        result = subprocess.run(
            [test, '-p', f'/x86_64/{path}'], cwd=test.parents[2], text=True,
            env={**os.environ, 'QTEST_QEMU_BINARY': str(binary)},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, errors='replace', timeout=LIMIT,
            check=False)
    except subprocess.TimeoutExpired:
        return 'hangs'
    if result.returncode == 0:
        if not re.search(r'^ok 1 ', result.stdout, re.M):
            raise Failure(f'{test.name} has no test {path}')
        return 'passes'
    return 'ends' if ENDED.search(result.stdout) else 'wrong'


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check reports --binary '
                        '/usr/bin/qemu-system-x86_64')
    parser.add_argument('--binary', type=Path,
                        help='the QEMU to run them on (default: the base of '
                        'the series, built here)')
    options = parser.parse_args()
    base = bases.current().version
    binary = options.binary.resolve() if options.binary else \
        qemu.build_to_compare('stock', [])
    tests = build_dir() / 'qemu' / 'build' / 'tests' / 'qtest'
    wanted = read(LIST.read_text())
    rows = []

    def run(bar: Bar) -> None:
        for number, one in enumerate(wanted):
            bar.draw(number / len(wanted))
            rows.append([one.path, happens(tests / one.test, one.path, binary),
                         one.happens[base], one.where])

    step('Run the reproducers', run)
    print(table([['reproducer', 'happens', 'expected', 'where'], *rows],
                left=3))
    others = sum(seen != expected for _, seen, expected, _ in rows)
    if others:
        print(f'{others} differ from reports/reproducers.txt')
    return 1 if others else 0
