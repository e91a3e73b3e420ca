# SPDX-License-Identifier: GPL-2.0-or-later
"""
README.rst's table of what works, made of configs/features.cfg.

A cell names tests.  Each must be one that scripts/check runs, and a test of
these suites that does not run is a failure: so what the table says is true
where scripts/check passes.
"""

import ast
import json
import os
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..base import config
from ..base.paths import REPO, build_dir
from ..base.steps import Failure
from ..base.tables import table
from ..build import qemu
from ..guest.groups import OTHER_BASES

FILE = REPO / 'configs' / 'features.cfg'
README = REPO / 'README.rst'
COMMENT = '.. scripts/build features makes this table of configs/features.cfg.'

WITHOUT_KVM = 'qtest'
ORDINARY = 'software-protected'
# By what scripts/check guest is told of the type of VM
GUESTS = {'--snp': 'SEV-SNP', '--snp-c-bit': 'SEV-SNP', '--tdx': 'TDX'}
COLUMNS = (ORDINARY, *dict.fromkeys(GUESTS.values()), WITHOUT_KVM)
# What a cell can say, and whether tests show it or a reason is given
WORDS = {'tested': True, 'refused': True, 'no': False}


@dataclass(frozen=True)
class Cell:
    word: str
    tests: tuple[str, ...]


Features = dict[str, dict[str, Cell]]


def cell(text: str) -> Cell:
    """ValueError if it is not WORD and tests, or WORD: WHY."""
    first, *tests = text.splitlines()
    word, colon, why = first.partition(':')
    if word not in WORDS:
        raise ValueError(f'{word} is none of {", ".join(WORDS)}')
    if WORDS[word] and (colon or not tests):
        raise ValueError(f'after {word} come tests, one in a line')
    if not WORDS[word] and (not why.strip() or tests):
        raise ValueError(f'say why: {word}: WHY')
    return Cell(word, tuple(tests))


def read(text: str) -> Features:
    """Rows and their columns; Failure if anything is wrong with them."""
    parser = config.read(text, FILE)
    found: Features = {}
    for name in parser.sections():
        if set(parser[name]) != set(COLUMNS):
            raise Failure(f'{FILE.name}: [{name}]: the columns are '
                          f'{", ".join(COLUMNS)}')
        found[name] = {}
        for column in COLUMNS:
            try:
                found[name][column] = cell(parser[name][column])
            except ValueError as error:
                raise Failure(f'{FILE.name}: [{name}]: {column}: {error}'
                              ) from error
    return found


def made(features: Features) -> str:
    """The table, with the comment before it."""
    rows = [[name, *(row[column].word for column in COLUMNS)]
            for name, row in features.items()]
    return f'{COMMENT}\n\n' + \
        table([['what', *COLUMNS], *rows], left=len(COLUMNS)) + '\n'


def replaced(page: str, text: str) -> str:
    """The page with this table in place of the one that it has."""
    found, count = re.subn(rf'^{re.escape(COMMENT)}\n\n(?:\S.*\n)+',
                           lambda _: text, page, flags=re.M)
    if count != 1:
        raise Failure(f'{README.name} must have this line once, and the table '
                      f'after it: {COMMENT}')
    return found


# What the suites run

def listed(command: list[str]) -> set[str]:
    """What this command, of scripts/check guest, would run."""
    environ = {key: value for key, value in os.environ.items()
               if key != 'QMP_NIGHTLY'}
    return set(subprocess.run([*command, '--list'], check=True, text=True,
                              env=environ, stdout=subprocess.PIPE
                              ).stdout.split())


def in_directory(directory: Path) -> Iterator[str]:
    """What Python's unittest runs there."""
    for file in directory.glob('test_*.py'):
        for cls in ast.parse(file.read_text()).body:
            if isinstance(cls, ast.ClassDef):
                yield from (f'{file.name}:{cls.name}.{one.name}'
                            for one in cls.body
                            if isinstance(one, ast.FunctionDef) and
                            one.name.startswith('test_'))


@cache
def on_kvm() -> dict[str, set[str]]:
    """Tests of each column, of the suites that tests/meson.build has."""
    found: dict[str, set[str]] = {column: set() for column in COLUMNS}
    info = build_dir() / 'meson-info' / 'intro-tests.json'
    for test in json.loads(info.read_text()):
        command = test['cmd']
        if any(suite.endswith(':nightly') for suite in test['suite']):
            continue
        if test['name'] == 'bases':
            command = [command[0], *OTHER_BASES]
        if 'guest' in command:
            column = next((GUESTS[word] for word in command if word in GUESTS),
                          ORDINARY)
            found[column] |= listed(command)
        elif test['name'] == 'deb':
            found[ORDINARY] |= set(in_directory(Path(command[-1])))
    return found


def skipped(source: str) -> set[str] | None:
    """
    Paths of a C program's tests that may be skipped, which nobody would see;
    None if that is not known.
    """
    skip = {name for name, body in
            re.findall(r'^static \w+ \*?(\w+)\([^)]*\)\n\{\n(.*?)^\}', source,
                       flags=re.M | re.S) if 'g_test_skip' in body}
    added = re.findall(r'add_(?:data_)?func\("(/[^"]+)",\s*(?:[^;]*,\s*)?'
                       r'(\w+)\);', source)
    if not skip <= {function for _, function in added}:
        return None
    return {path for path, function in added if function in skip}


@cache
def paths(program: str) -> set[str]:
    """Of one of QEMU's unit tests or qtests, those that scripts/check runs."""
    tree = qemu.tree()
    if program not in qemu.series_tests(tree) + qemu.existing_tests():
        return set()
    for kind in ('qtest', 'unit'):
        source = tree.path / 'tests' / kind / f'{program}.c'
        if source.exists():
            left_out = skipped(source.read_text())
            if left_out is None:
                return set()
            # Some ask QEMU what there is to test
            said = subprocess.run(
                [tree.path / 'build' / 'tests' / kind / program, '-l'],
                check=True, text=True, cwd=tree.path / 'build',
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                env={**os.environ,
                     'QTEST_QEMU_BINARY': './qemu-system-x86_64'}).stdout
            return {line.removeprefix('/x86_64') for line in said.splitlines()
                    if line.startswith('/')} - left_out
    return set()


def runs(test: str, column: str) -> bool:
    """Whether scripts/check runs a test of this name, on that type of VM."""
    if column == WITHOUT_KVM:
        program, _, path = test.partition(':')
        return path in paths(program)
    return test in on_kvm()[column]


def write() -> None:
    """The table into README.rst."""
    page = README.read_text()
    README.write_text(replaced(page, made(read(FILE.read_text()))))


def findings() -> list[str]:
    """What is wrong with the table, or with the tests that it is made of."""
    features = read(FILE.read_text())
    wrong = [f'{FILE.name}: [{name}]: {column}: scripts/check does not run '
             f'{test} there, or may skip it' for name, row in features.items()
             for column in COLUMNS for test in row[column].tests
             if not runs(test, column)]
    page = README.read_text()
    if replaced(page, made(features)) != page:
        wrong.append(f'{README.name}: the table is not that of '
                     f'configs/{FILE.name}: run scripts/build features')
    return wrong
