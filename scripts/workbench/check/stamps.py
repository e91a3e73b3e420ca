# SPDX-License-Identifier: GPL-2.0-or-later
"""
What decides the result of each test of tests/meson.build, and which of them
passed with just that.

A test that passed leaves a stamp.  While nothing of what decides its result has
changed it would pass again, and scripts/check does not run it.  What decides is
the input, never what was built of it: QEMU built elsewhere of the same sources
has other bytes.  So stamps are the user's, not a build directory's: they are
right for each clone with the same content, and are there when build/ is not.

INPUTS is the one list of what decides.  A part of it is a path in the repo, a
command of scripts/ with its subcommand, or a name of PARTS.  Always there
without being named: the test's command and the files in it, what of the
workbench a Python program imports, and the machine.
"""

import ast
import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from glob import glob
from importlib.util import resolve_name
from pathlib import Path

from ..base import command
from ..base.bases import FIRST
from ..base.paths import (REPO, build_dir, cache_dir, digest, is_build_dir,
                          write_whole)
from ..base.steps import Failure
from ..build import deb, emulator_build, instrumented, packages, qemu
from ..build.libvirt_root import libvirt_root
from ..build.sources import (debian_guest, linux_package, ovmf_image,
                             qemu_tarball)
from ..docs import doccommands
from ..guest import groups

# Of QEMU's tree, what is in no program
NOT_IN_BINARY = ('docs', 'tests', 'MAINTAINERS')

Content = str | bytes | Path


@cache
def imported(text: bytes, package: str = '') -> list[str]:
    """
    What of the workbench a Python program imports, or has another Python run
    (python3 -m), as names in it: "base.paths".  `package` is the program's.
    """
    names = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom):
            module = '.' * node.level + (node.module or '')
            if node.level:
                module = resolve_name(module, package)
            names |= {module, *(f'{module}.{one.name}' for one in node.names)}
        elif isinstance(node, ast.Import):
            names |= {one.name for one in node.names}
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            names |= set(re.findall(r'\bworkbench(?:\.\w+)+', node.value))
    return sorted(name.removeprefix('workbench.') for name in names
                  if name.startswith('workbench.'))


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
        """What follows a command of scripts/ may be its subcommand."""
        path, *arguments = pattern.split()
        found = [self.repo / name for name in
                 sorted(glob(path, root_dir=self.repo))]
        if not found:
            raise Failure(f'{path} does not exist: mend INPUTS or PARTS in '
                          'scripts/workbench/check/stamps.py')
        if Path(path).parent == Path('scripts'):
            module = command.module([Path(path).name, *arguments])
            found += self.modules(f'commands.{module}')
        for path in found:
            if path.is_file():
                yield path
            for top, directories, names in os.walk(path):
                # Build directories and git's own are no sources
                directories[:] = sorted(
                    name for name in directories
                    if name not in ('.git', '__pycache__') and
                    not is_build_dir(Path(top) / name, self.repo))
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
        text = path.read_bytes()
        is_python = path.suffix == '.py' or re.match(rb'#!.*python', text)
        package = f'workbench.{path.parent.name}'
        return self.modules(*imported(text, package)) if is_python else []

    def modules(self, *names: str) -> list[Path]:
        """Those of these names that are modules of the workbench."""
        top = self.repo / 'scripts' / 'workbench'
        return [file for name in names if
                (file := top / f'{name.replace(".", "/")}.py').exists()]

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
    yield from state.files('configs/qemu*.options',
                           'scripts/workbench/build/qemu.py')
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
    # Of the others there is one version, or it is this one
    yield qemu_tarball(FIRST).name


def debian_source(state: State) -> Iterator[Content]:
    yield deb.source_package()


def kernel(name: str) -> Callable[[State], Iterator[Content]]:
    def content(state: State) -> Iterator[Content]:
        yield linux_package(name).name
        yield from state.files('configs/kernel/*.config',
                               f'configs/kernel/{name}',
                               'tests/kernel/*.patch', f'tests/kernel/{name}',
                               'scripts/workbench/build/kernel.py')

    return content


def ovmf(state: State) -> Iterator[Content]:
    yield ovmf_image().parent.name


def libvirt(release: str) -> Callable[[State], Iterator[Content]]:
    def content(state: State) -> Iterator[Content]:
        yield libvirt_root(release).parent.name

    return content


def debian(state: State) -> Iterator[Content]:
    yield debian_guest().name


def emulated_machine(state: State) -> Iterator[Content]:
    yield from state.files('scripts/with-kvm',
                           'scripts/workbench/machine/guest-init',
                           'configs/emulator.*', 'patches/emulator')
    yield os.environ.get(emulator_build.VARIABLE, '')
    yield qemu_tarball(FIRST).name


def guest_tests(state: State) -> Iterator[Content]:
    """All but those that read the documentation."""
    tests = state.repo / 'tests' / 'avocado'
    others = [tests / name for name in groups.members('docs', tests)]
    yield from state.files(
        'tests/linux', 'configs/vm', 'configs/libvirt',
        'scripts/workbench/guest/runner.py',
        *(str(path.relative_to(state.repo))
          for path in state.find('tests/avocado') if path not in others))


def commands(kind: str) -> Callable[[State], Iterator[Content]]:
    """Of the pages, and scripts that these call; but not the prose."""
    def content(state: State) -> Iterator[Content]:
        for page, blocks in doccommands.find_blocks((kind,)).items():
            for one in (one for block in blocks for one in block.commands):
                yield f'{page} {one}'
                scripts = re.findall(r'\bscripts/[\w-]+(?: \w+)?',
                                     one.text)
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
    'OVMF': ovmf,
    "Debian 13's libvirt": libvirt('debian-13'),
    "Debian 14's libvirt": libvirt('debian-14'),
    "Debian's Linux": debian,
    'the emulated machine': emulated_machine,
    'tests of guests': guest_tests,
    'commands for the host': commands('host'),
    'commands for KVM': commands('kvm'),
}

GUESTS = ('QEMU', "QEMU's Python", 'tests/guest', 'the emulated machine',
          'tests of guests')
INPUTS: dict[str, tuple[str, ...]] = {
    'series': ('QEMU without the series', 'patches',
               'configs/checkpatch-explained.txt',
               'configs/series-differences.txt'),
    'qemu-unit': ('QEMU and its tests',),
    'qemu-qtest': ('QEMU and its tests',),
    'qemu-tsan': ('QEMU and its tests',),
    'bases': ('QEMU without the series', 'patches/qemu-*', 'configs/qemu.tests',
              'configs/qemu.options', 'scripts/build qemu',
              'scripts/check qemu', 'scripts/check guest', *GUESTS[1:],
              'Linux new', 'OVMF', "Debian 14's libvirt"),
    'replay': ('QEMU and its tests', 'tests/replay'),
    'qemu-docs': ("QEMU's documentation",),
    'coverage': ('QEMU and its tests',),
    'fuzz': ('QEMU and its tests', 'tests/fuzz'),
    'workbench': ('all of the repo', 'QEMU and its tests'),
    'shellcheck': (),
    'emulator': ('tests/emulator', 'tests/guest/lib', "QEMU's Python",
                 'the emulated machine'),
    'machine': ('tests/machine', 'the emulated machine', 'Linux lts'),
    'kernel-lts': ('the emulated machine', 'Linux lts'),
    'kernel-new': ('the emulated machine', 'Linux new'),
    'avocado-lts': (*GUESTS, 'Linux lts'),
    'avocado-new': (*GUESTS, 'Linux new'),
    'avocado-snp-lts': (*GUESTS, 'Linux lts', 'OVMF', "Debian 13's libvirt"),
    'avocado-snp-new': (*GUESTS, 'Linux new', 'OVMF', "Debian 13's libvirt"),
    'avocado-tdx-new': (*GUESTS, 'Linux new', 'OVMF', "Debian 14's libvirt"),
    'avocado-snp-c-bit-lts': (*GUESTS, 'Linux lts', 'OVMF',
                              "Debian's Linux"),
    'avocado-snp-c-bit-new': (*GUESTS, 'Linux new', 'OVMF',
                              "Debian's Linux"),
    # What pages refer to may be anywhere
    'docs': ('all of the repo', 'QEMU and its tests'),
    'docs-host': (*GUESTS, 'commands for the host', 'Linux lts', 'Linux new'),
    'docs-kvm': (*GUESTS, 'commands for KVM', 'tests/avocado',
                 'docs/troubleshooting.rst', 'Linux lts'),
    'deb': ("Debian's source package", 'patches/qemu-10.0', 'scripts/build deb',
            'scripts/workbench/build/deb-build', 'scripts/check guest',
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
        for word, following in zip(self.command, [*self.command[1:], ''],
                                   strict=True):
            path = Path(word)
            if path.is_absolute():
                path = Path(os.path.normpath(path))
            if path.is_relative_to(self.state.repo):
                name = str(path.relative_to(self.state.repo))
                yield name
                yield from self.state.files(f'{name} {following}')
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
