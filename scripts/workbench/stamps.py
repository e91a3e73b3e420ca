# SPDX-License-Identifier: GPL-2.0-or-later
"""
What decides the result of each test of tests/meson.build, and which of them
passed with just that.

A test that passed leaves a stamp.  While nothing of what decides its result has
changed it would pass again, and scripts/check does not run it.  What decides is
the input, never what was built of it: QEMU built elsewhere of the same sources
has other bytes.  So stamps are the user's, not a build directory's: they are
right for each clone with the same content, and are there when build/ is not.

INPUTS is the one list of what decides.  A part of it is a path in the repo, or
a name of PARTS.  Always there without being named: the test's command and the
files in it, what of the workbench a Python program imports, and the machine.
"""

import ast
import json
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from glob import glob
from pathlib import Path

from . import (deb, doccommands, emulator_build, groups, instrumented,
               packages, qemu)
from .paths import REPO, build_dir, cache_dir, digest, write_whole
from .sources import linux_package, qemu_tarball
from .steps import Failure

# Of QEMU's tree, what is in no program
NOT_IN_BINARY = ('docs', 'tests', 'MAINTAINERS')

Content = str | bytes | Path


@cache
def imported(text: bytes) -> list[str]:
    """The modules of the workbench that a Python program imports."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = node.module or ''
            if node.level:
                module = f'workbench.{module}'.rstrip('.')
            if module == 'workbench':
                names |= {name.name for name in node.names}
            elif module.startswith('workbench.'):
                names.add(module.split('.')[1])
        elif isinstance(node, ast.Import):
            names |= {name.name.split('.')[1] for name in node.names
                      if name.name.startswith('workbench.')}
    return sorted(names)


@dataclass
class State:
    """All that decides results, as it is now; each thing is read once."""
    repo: Path = REPO
    tree: qemu.Tree = field(default_factory=qemu.tree)
    known: dict[str, str] = field(default_factory=dict)

    def digest(self, part: str) -> str:
        """Of a part: a name of PARTS, or a path or a pattern of them."""
        if part not in self.known:
            content = PARTS[part](self) if part in PARTS else self.files(part)
            self.known[part] = digest(content)
        return self.known[part]

    def files(self, *patterns: str) -> Iterator[Content]:
        """
        All files in these directories, or of these names, with their names;
        and what Python programs among them import.
        """
        for path in self.with_imports(path for pattern in patterns
                                      for path in self.find(pattern)):
            yield f'{path.relative_to(self.repo)} {os.access(path, os.X_OK)}'
            yield path

    def find(self, pattern: str) -> Iterator[Path]:
        found = [self.repo / name for name in
                 sorted(glob(pattern, root_dir=self.repo))]
        if not found:
            raise Failure(f'{pattern} does not exist: mend INPUTS or PARTS in '
                          'scripts/workbench/stamps.py')
        for path in found:
            if path.is_file():
                yield path
            for top, directories, names in os.walk(path):
                # Build directories and git's own are no sources
                directories[:] = sorted(
                    name for name in directories
                    if name not in ('.git', '__pycache__') and
                    not (Path(top) / name / 'meson-info').exists())
                yield from (Path(top) / name for name in sorted(names))

    def with_imports(self, paths: Iterator[Path]) -> list[Path]:
        """The same, and modules of the workbench that they lead to."""
        found: dict[Path, None] = {}
        queue = list(paths)
        while queue:
            path = queue.pop(0)
            if path not in found:
                found[path] = None
                queue += self.imports(path)
        return list(found)

    def imports(self, path: Path) -> list[Path]:
        modules = self.repo / 'scripts' / 'workbench'
        text = path.read_bytes()
        is_python = path.suffix == '.py' or re.match(rb'#!.*python', text)
        names = imported(text) if is_python else []
        return [file for name in names
                if (file := modules / f'{name}.py').exists()]

    @cached_property
    def qemu(self) -> dict[str, str]:
        """What is at the top of QEMU's tree, by name, with all that is not
        committed."""
        with tempfile.TemporaryDirectory() as directory:
            index = Path(directory) / 'index'
            # It knows which files have not changed
            index.write_bytes((self.tree.path / '.git' / 'index').read_bytes())
            environ = {'GIT_INDEX_FILE': str(index)}
            qemu.git(self.tree.path, 'add', '--all', **environ)
            whole = qemu.git(self.tree.path, 'write-tree', **environ).strip()
        listing = qemu.git(self.tree.path, 'ls-tree', whole)
        return {name: entry for entry, name in
                (line.split('\t') for line in listing.splitlines())}


# Parts that are more than files of the repo

def machine(state: State) -> Iterator[Content]:
    """Its packages that tests can be the work of, its kernel, its user."""
    yield f'{os.uname().release} {os.uname().machine} {os.geteuid() == 0}'
    yield from packages.with_dependencies()


def binary(state: State) -> Iterator[Content]:
    yield from (f'{name} {entry}' for name, entry in state.qemu.items()
                if name not in NOT_IN_BINARY)
    yield from state.files('configs/qemu*.options', 'scripts/workbench/qemu.py')
    # What its configure has found on the machine
    yield state.tree.path / 'build' / 'config-host.h'


def binary_and_tests(state: State) -> Iterator[Content]:
    yield from binary(state)
    yield state.qemu['tests']
    # Which are run is known by what is committed
    yield from sorted(qemu.series_tests(state.tree))
    yield from instrumented.new_files(state.tree)
    yield from state.files('configs/qemu.tests')


def qemu_docs(state: State) -> Iterator[Content]:
    """QAPI's documentation is made by QEMU's Python of its C and JSON."""
    yield from (f'{name} {entry}' for name, entry in state.qemu.items()
                if name not in ('tests', 'MAINTAINERS'))


def base(state: State) -> Iterator[Content]:
    yield qemu.git(state.tree.path, 'rev-parse', f'{qemu.BASE_TAG}^{{tree}}')


def debian_source(state: State) -> Iterator[Content]:
    yield deb.source_package()


def kernel(name: str) -> Callable[[State], Iterator[Content]]:
    def content(state: State) -> Iterator[Content]:
        yield linux_package(name).name
        yield from state.files('configs/kernel/*.config',
                               f'configs/kernel/{name}', 'tests/kernel',
                               'scripts/workbench/kernel.py')

    return content


def emulated_machine(state: State) -> Iterator[Content]:
    yield from state.files('scripts/with-kvm', 'scripts/workbench/guest-init',
                           'configs/emulator.*', 'patches/emulator')
    yield os.environ.get(emulator_build.VARIABLE, '')
    yield qemu_tarball().name


def guest_tests(state: State) -> Iterator[Content]:
    """All but those that read the documentation."""
    tests = state.repo / 'tests' / 'avocado'
    others = [tests / name for name in groups.members('docs', tests)]
    yield from state.files(
        'tests/linux', 'configs/vm', 'configs/libvirt',
        'scripts/workbench/runner.py',
        *(str(path.relative_to(state.repo))
          for path in state.find('tests/avocado') if path not in others))


def commands(kind: str) -> Callable[[State], Iterator[Content]]:
    """Of the pages, and scripts that these call; but not the prose."""
    def content(state: State) -> Iterator[Content]:
        for page, blocks in doccommands.find_blocks((kind,)).items():
            for command in (one for block in blocks for one in block.commands):
                yield f'{page} {command}'
                scripts = re.findall(r'\bscripts/[\w-]+', command.text)
                yield from state.files(*scripts)

    return content


PARTS: dict[str, Callable[[State], Iterator[Content]]] = {
    'all of the repo': lambda state: state.files('.'),
    'the machine': machine,
    'QEMU': binary,
    'QEMU and its tests': binary_and_tests,
    "QEMU's Python": lambda state: iter([state.qemu['python']]),
    "QEMU's documentation": qemu_docs,
    'QEMU without the series': base,
    "Debian's source package": debian_source,
    'Linux lts': kernel('lts'),
    'Linux new': kernel('new'),
    'the emulated machine': emulated_machine,
    'tests of guests': guest_tests,
    'commands for the host': commands('host'),
    'commands for KVM': commands('kvm'),
}

GUESTS = ('QEMU', "QEMU's Python", 'tests/guest', 'the emulated machine',
          'tests of guests')
INPUTS: dict[str, tuple[str, ...]] = {
    'series': ('QEMU without the series', 'patches',
               'configs/checkpatch-explained.txt'),
    'qemu-unit': ('QEMU and its tests',),
    'qemu-qtest': ('QEMU and its tests',),
    'qemu-tsan': ('QEMU and its tests',),
    'qemu-docs': ("QEMU's documentation",),
    'coverage': ('QEMU and its tests',),
    'fuzz': ('QEMU and its tests', 'tests/fuzz'),
    'workbench': ('all of the repo', 'QEMU and its tests'),
    'shellcheck': (),
    'emulator': ('tests/emulator', 'tests/guest/lib', "QEMU's Python",
                 'the emulated machine'),
    'machine': ('tests/machine', 'the emulated machine', 'Linux lts'),
    'avocado-lts': (*GUESTS, 'Linux lts'),
    'avocado-new': (*GUESTS, 'Linux new'),
    # What pages refer to may be anywhere
    'docs': ('all of the repo', 'QEMU and its tests'),
    'docs-host': (*GUESTS, 'commands for the host', 'Linux lts', 'Linux new'),
    'docs-kvm': (*GUESTS, 'commands for KVM', 'tests/avocado',
                 'docs/troubleshooting.rst', 'Linux lts'),
    'deb': ("Debian's source package", 'patches', 'scripts/build-deb',
            'scripts/workbench/deb-build', 'scripts/avocado',
            "QEMU's Python", 'tests/guest', 'the emulated machine',
            'tests/avocado/guests.py', 'Linux lts'),
}


@dataclass
class Test:
    """A test of tests/meson.build."""
    name: str
    suites: list[str]
    command: list[str]
    state: State

    @property
    def nightly(self) -> bool:
        return 'nightly' in self.suites

    def command_content(self) -> Iterator[Content]:
        """Its command, wherever the clone is; and what it runs."""
        for word in self.command:
            path = Path(word)
            if path.is_absolute():
                path = Path(os.path.normpath(path))
            if path.is_relative_to(self.state.repo):
                name = str(path.relative_to(self.state.repo))
                yield name
                yield from self.state.files(name)
            else:
                yield word

    def parts(self) -> dict[str, str] | None:
        """What decides its result; None if that is not known."""
        if self.name not in INPUTS:
            return None
        return {'its command': digest(self.command_content()),
                **{part: self.state.digest(part)
                   for part in ('the machine', *INPUTS[self.name])}}


def tests(state: State) -> list[Test]:
    """All of tests/meson.build."""
    listing = build_dir() / 'meson-info' / 'intro-tests.json'
    return [Test(test['name'],
                 [suite.partition(':')[2] for suite in test['suite']],
                 test['cmd'], state)
            for test in json.loads(listing.read_text())]


@dataclass
class Stamp:
    """That a test passed."""
    parts: dict[str, str]
    seconds: float
    when: float

    def date(self) -> str:
        return time.strftime('%Y-%m-%d %H:%M', time.localtime(self.when))

    def changed(self, parts: dict[str, str]) -> list[str]:
        """What is not as it was then."""
        return [part for part in sorted(parts.keys() | self.parts.keys())
                if parts.get(part) != self.parts.get(part)]


def sources() -> str:
    """All that things are built of; '' while QEMU's tree does not exist."""
    state = State()
    if not state.tree.state_file.exists():
        return ''
    return digest([*state.files('.'), *state.qemu.values()])


def directory(test: str) -> Path:
    return cache_dir() / 'passed' / test


def read(file: Path) -> Stamp | None:
    """None if there is none; one that is no whole stamp is none."""
    try:
        return Stamp(**json.loads(file.read_text()))
    except (OSError, ValueError, TypeError):
        return None


def key(parts: dict[str, str]) -> str:
    return digest(f'{part} {parts[part]}' for part in sorted(parts))


def find(test: str, parts: dict[str, str]) -> Stamp | None:
    """That it passed with just this."""
    stamp = read(directory(test) / key(parts))
    return stamp if stamp and stamp.parts == parts else None


def last(test: str) -> Stamp | None:
    """When it passed last, with whatever."""
    stamps = [stamp for file in directory(test).glob('[!.]*')
              if (stamp := read(file))]
    return max(stamps, key=lambda stamp: stamp.when, default=None)


def remove(test: str, parts: dict[str, str]) -> None:
    """It has failed with just this."""
    (directory(test) / key(parts)).unlink(missing_ok=True)


def write(test: str, parts: dict[str, str], seconds: float) -> None:
    stamp = Stamp(parts, seconds, time.time())
    write_whole(directory(test) / key(parts), json.dumps(vars(stamp), indent=1))
