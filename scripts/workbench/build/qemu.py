# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU with the series applied: the git tree, and what is built from it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

from ..base import bases
from ..base.bases import Base
from ..base.paths import (EMULATOR_SERIES, REPO, build_dir, cache_dir,
                          digest)
from ..base.steps import Bar, Failure, ninja_progress, run, run_logged, step
from .ccache import environment
from .sources import qemu_tarball

# How QEMU is configured: as it is used, and for the builds with instruments
OPTIONS = REPO / 'configs' / 'qemu.options'
SMALL_OPTIONS = REPO / 'configs' / 'qemu-small.options'
EXISTING_TESTS = REPO / 'configs' / 'qemu.tests'
BASE_TAG = 'qemu-base'

# The base commit is the same whoever makes it, and whenever
BASE_IDENTITY = {
    f'GIT_{who}_{what}': value for who in ('AUTHOR', 'COMMITTER')
    for what, value in (('NAME', 'QEMU'), ('EMAIL', 'qemu-devel@nongnu.org'),
                        ('DATE', '2000-01-01T00:00:00Z'))
}


def patches(directory: Path | None = None) -> list[Path]:
    """The series, in order of its topics, or that in another directory."""
    directory = directory or bases.current().series
    return sorted(directory.rglob('*.patch'))


# What the user's own configuration may say, and breaks a commit of ours
GIT = ('git', '-c', 'commit.gpgsign=false', '-c', 'tag.gpgsign=false',
       '-c', 'core.autocrlf=false', '-c', 'core.hooksPath=/dev/null')


def git(tree: Path, *arguments: str, **environ: str) -> str:
    """Run git in `tree` and return what it prints."""
    result = subprocess.run([*GIT, *arguments], cwd=tree, text=True,
                            capture_output=True, check=False,
                            env={**os.environ, **environ})
    if result.returncode:
        raise Failure(f'git {arguments[0]}: {result.stderr.strip()} '
                      f'{result.stdout.strip()}')
    return result.stdout


def identity(tree: Path) -> dict[str, str]:
    """Somebody to commit as where git has not been told who the user is."""
    known = subprocess.run(['git', 'config', 'user.email'], cwd=tree,
                           capture_output=True, check=False).stdout.strip()
    return {} if known else {'GIT_COMMITTER_NAME': 'series',
                             'GIT_COMMITTER_EMAIL': 'series@localhost'}


def source() -> Path | None:
    """The QEMU tree of the user's own to begin from, if there is one.

    All scripts ask here.  It is what meson's option qemu_source says.
    """
    file = build_dir() / 'qemu-source'
    return Path(file.read_text()) if file.exists() else None


def remember_source(path: str) -> None:
    """What source() is to say from now on; '' for Debian's QEMU."""
    file = build_dir() / 'qemu-source'
    if path:
        check_version(Path(path), bases.current())
        file.write_text(str(Path(path).resolve()))
    else:
        file.unlink(missing_ok=True)


def with_changes(tree: Path) -> str:
    """
    A commit with what is in a git tree and not committed, HEAD if that is
    nothing.  Files that git does not know are not in it.
    """
    return git(tree, 'stash', 'create', **identity(tree)).strip() or 'HEAD'


def content(tree: Path) -> str:
    """A name for what is in a tree of the user's, build directories aside."""
    if (tree / '.git').exists():
        commit = with_changes(tree)
        return git(tree, 'rev-parse', 'HEAD', f'{commit}^{{tree}}')
    files = (path for path in sorted(tree.rglob('*'))
             if not path.relative_to(tree).parts[0].startswith('build') and
             path.is_file())
    return digest(f'{path} {path.stat().st_mtime_ns} {path.stat().st_size}'
                  for path in files)


class Tree:
    """A git tree of QEMU whose commits on the base are the series."""

    def __init__(self, path: Path, source: Path | None = None,
                 series: Path | None = None, base: Base | None = None
                 ) -> None:
        """`source` is a QEMU tree of the user's own to begin from."""
        self.path = path
        # The emulated machine is the same for all bases
        self.base = base or (bases.FIRST if series == EMULATOR_SERIES else
                             bases.current())
        self.series = series or self.base.series
        self.source = source.resolve() if source else None
        self.state_file = path / '.git' / 'series-state'
        # Names the patches of the first base that were carried to it
        self.carried_file = path / '.git' / 'series-carried'

    def version(self) -> str:
        return (self.path / 'VERSION').read_text().strip()

    def _base_name(self) -> str:
        if self.source:
            return f'{self.source}@{digest([content(self.source)])}'
        return qemu_tarball(self.base).name

    def _series_name(self) -> str:
        return digest([part for patch in patches(self.series)
                       for part in (patch.name, patch)])

    def remember(self) -> None:
        """The tree's commits and the patches say the same now."""
        self.state_file.write_text(json.dumps(
            {'base': self._base_name(), 'series': self._series_name(),
             'head': self.head()}))

    def head(self) -> str:
        return git(self.path, 'rev-parse', 'HEAD').strip()

    def is_clean(self) -> bool:
        return not git(self.path, 'status', '--porcelain')

    def has_unexported_work(self) -> bool:
        state = json.loads(self.state_file.read_text())
        return state['head'] != self.head() or not self.is_clean()

    def _unpack(self, scratch: Path, bar: Bar) -> None:
        if self.source:
            check_version(self.source, self.base)
            if (self.source / '.git').exists():
                unpack = ['git', 'archive', '--format=tar',
                          with_changes(self.source)]
            else:
                unpack = ['tar', '--create', '--exclude=./build*', '.']
            with subprocess.Popen(unpack, cwd=self.source,
                                  stdout=subprocess.PIPE) as packer:
                subprocess.run(['tar', '--extract', '--no-same-owner'],
                               cwd=scratch, stdin=packer.stdout, check=True)
            if packer.returncode:
                raise Failure(f'{self.source}: {unpack[0]} cannot read it')
            self._subprojects(scratch)
        else:
            # The sources of firmware are most of the tarball
            run_logged(['tar', '--extract', '--no-same-owner', '--file',
                        qemu_tarball(self.base), '--strip-components=1',
                        '--exclude=*/roms/*', '--directory', scratch], bar,
                       log='qemu-unpack')
            check_version(scratch, self.base)

    def _subprojects(self, scratch: Path) -> None:
        """What QEMU's build would download, as it is in no git tree: from the
        user's tree if it is there, or from Debian's tarball."""
        assert self.source
        wanted = [wrap.with_suffix('') for wrap in
                  (scratch / 'subprojects').glob('*.wrap')]
        missing = [path for path in wanted if not path.exists()]
        for path in missing:
            there = self.source / 'subprojects' / path.name
            if there.is_dir():
                shutil.copytree(there, path, symlinks=True,
                                ignore=shutil.ignore_patterns('.git'))
        missing = [path for path in missing if not path.exists()]
        if missing:
            # Some of them Debian has not either, and does not need
            subprocess.run(
                ['tar', '--extract', '--no-same-owner', '--file',
                 qemu_tarball(self.base), '--strip-components=1',
                 '--directory', scratch, '--wildcards',
                 *(f'*/subprojects/{path.name}/*' for path in missing)],
                capture_output=True, check=False)

    def _commit_base(self, scratch: Path) -> None:
        git(scratch, 'init', '--quiet', '--initial-branch=series')
        git(scratch, 'add', '--all', '--force')
        version = (scratch / 'VERSION').read_text().strip()
        git(scratch, 'commit', '--quiet', f'--message=QEMU {version}',
            '--no-verify', **BASE_IDENTITY)
        git(scratch, 'tag', BASE_TAG)

    def _placeholders(self, scratch: Path) -> None:
        """
        Debian's tarball comes without firmware and device trees, but QEMU's
        build unpacks some of it if it finds bzip2, and looks for the others:
        give it empty ones.
        """
        text = (scratch / 'pc-bios' / 'meson.build').read_text()
        excluded = ['/build*/']
        for name in re.findall(r"'(edk2-[\w-]+\.fd)'", text):
            archive = scratch / 'pc-bios' / f'{name}.bz2'
            if not archive.exists():
                archive.write_bytes(bytes.fromhex(
                    '425a683917724538509000000000'))
                excluded.append(f'/pc-bios/{archive.name}')
        for source in sorted((scratch / 'pc-bios' / 'dtb').glob('*.dts')):
            if not source.with_suffix('.dtb').exists():
                source.with_suffix('.dtb').touch()
                excluded.append(f'/pc-bios/dtb/{source.stem}.dtb')
        (scratch / '.git' / 'info' / 'exclude').write_text(
            '\n'.join(excluded) + '\n')

    def am(self, bar: Bar, series: list[Path]) -> None:
        """Apply patches to the tree as it is; all or nothing."""
        if not series:
            return
        before = self.head()
        try:
            run_logged([*GIT, 'am',
                        '--keep-non-patch', '--whitespace=error',
                        *map(str, series)], bar, cwd=self.path,
                       log='series-am',
                       env={**os.environ, **identity(self.path)})
        except Failure as failure:
            subprocess.run(['git', 'am', '--abort'], cwd=self.path,
                           capture_output=True, check=False)
            git(self.path, 'reset', '--quiet', '--hard', before)
            raise Failure(f'{self.series} does not apply to QEMU '
                          f'{self.version()}: {failure}') from None

    def create(self, bar: Bar, series: list[Path]) -> None:
        """Make the tree anew."""
        scratch = self.path.with_name(f'.making-{self.path.name}')
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        self._unpack(scratch, bar)
        self._commit_base(scratch)
        self._placeholders(scratch)
        making = Tree(scratch, self.source, self.series, self.base)
        making.am(bar, series)
        making.remember()
        shutil.rmtree(self.path, ignore_errors=True)
        scratch.rename(self.path)

    def ensure(self) -> None:
        """
        Have the tree with the series applied.

        A tree with commits that are not in patches/ is somebody's work: it
        is used as it is, and never thrown away.
        """
        if not self.state_file.exists():
            step(f'Apply {len(patches(self.series))} patches to QEMU '
                 f'{self.base.version}.x',
                 lambda bar: self.create(bar, patches(self.series)))
            return
        state = json.loads(self.state_file.read_text())
        same_base = state['base'] == self._base_name()
        if same_base and state['series'] == self._series_name():
            return
        if self.has_unexported_work():
            changed = 'patches/' if same_base else \
                f'the QEMU that it is made from ({self.source or "Debian"})'
            raise Failure(f'{self.path} has commits that are not in patches/, '
                          f'and {changed} has changed: run scripts/series '
                          'export, or remove this directory')

        def again(bar: Bar) -> None:
            if same_base:
                git(self.path, 'reset', '--quiet', '--hard', BASE_TAG)
                self.am(bar, patches(self.series))
                self.remember()
            else:
                self.create(bar, patches(self.series))

        step('Apply the series again, it has changed', again)


def check_version(tree: Path, base: Base) -> None:
    """Failure unless `tree` holds QEMU 10.0.x, or what the base is."""
    try:
        version = (tree / 'VERSION').read_text().strip()
    except OSError:
        raise Failure(f'{tree} is not a QEMU source tree: it has no VERSION '
                      'file') from None
    if not version.startswith(f'{base.version}.'):
        raise Failure(f'{tree} is QEMU {version}, and the series is for '
                      f'{base.version}.x: use a {base.version}.x tree')


def options(file: Path = OPTIONS, base: Base | None = None) -> list[str]:
    """Lines of a file of configs/, without those that the base has not."""
    without = base.without if base else ()
    return [line for line in file.read_text().splitlines()
            if line and not line.startswith('#') and line not in without]


def configure(tree: Path, build: Path, *extra: str, file: Path = OPTIONS,
              compiler: str = 'gcc', base: Base | None = None) -> None:
    """Configure QEMU in `build` unless that is done, and done the same way."""
    wanted = digest([file, str(tree), *extra, compiler])
    stamp = build / 'configured'
    if stamp.exists() and stamp.read_text() == wanted:
        return
    shutil.rmtree(build, ignore_errors=True)
    build.mkdir(parents=True)
    run('Configure QEMU', [tree / 'configure', '--python=/usr/bin/python3',
                           f'--cc=ccache {compiler}',
                           f'--host-cc=ccache {compiler}',
                           *options(file, base or bases.current()), *extra],
        cwd=build, log=f'{build.name}-configure', env=environment(tree))
    link_firmware(build)
    stamp.write_text(wanted)


def link_firmware(build: Path) -> None:
    """QEMU that runs from its build directory takes all paths of files to be
    in its bundle there, those of the distribution's firmware too."""
    for line in options():
        if line.startswith('--firmwarepath='):
            for path in line.partition('=')[2].split(':'):
                link = build / 'qemu-bundle' / path.lstrip('/')
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path)


def compile_targets(tree: Path, build: Path, *names: str,
                    title: str = 'Build QEMU and its tests') -> None:
    """Build ninja targets, everything by default."""
    run(title, ['ninja', *names], cwd=build, log=f'{build.name}-ninja',
        progress=ninja_progress, env=environment(tree))


def build_to_compare(name: str, some: list[Path]) -> Path:
    """The binary of QEMU with these patches only, in place(name)."""
    tree = Tree(place(name))
    wanted = digest([qemu_tarball().name, *some])
    stamp = tree.path / '.git' / name
    if not stamp.exists() or stamp.read_text() != wanted:
        step('Apply the patches of the QEMU to compare with',
             lambda bar: tree.create(bar, some))
        stamp.write_text(wanted)
    build = tree.path / 'build'
    configure(tree.path, build)
    compile_targets(tree.path, build, 'qemu-system-x86_64',
                    title='Build the QEMU to compare with')
    return build / 'qemu-system-x86_64'


def series_tests(tree: Tree, since: str = BASE_TAG) -> list[str]:
    """Names of the tests that the series, as far as it is in the tree, adds or
    changes, or its commits since one of them."""
    changed = git(tree.path, 'diff', '--name-only', since, 'HEAD', '--',
                  'tests/unit', 'tests/qtest')
    return [Path(name).stem for name in changed.splitlines()
            if re.search(r'/[\w-]*test[\w-]*\.c$', name)
            and '/libq' not in name]


def series_benchmarks(tree: Tree) -> list[str]:
    """Names of the benchmarks that the series adds."""
    changed = git(tree.path, 'diff', '--name-only', BASE_TAG, 'HEAD', '--',
                  'tests/bench/*.c')
    return [Path(name).stem for name in changed.splitlines()]


def existing_tests() -> list[str]:
    """Names of QEMU's own tests that the series could break."""
    return options(EXISTING_TESTS, bases.current())


def targets(tree: Tree, build: Path,
            tests: list[str] | None = None) -> list[str]:
    """
    What to build: the binary and the tests that are run; QEMU has hundreds of
    others.

    `tests` are their names.  By default they are all, and the benchmarks of the
    series, which the suites do not run, are built too.
    """
    # What there is to build may have changed since the last time
    subprocess.run(['ninja', 'build.ninja'], cwd=build, check=True,
                   capture_output=True, env=environment(tree.path))
    listing = subprocess.run(['ninja', '-t', 'targets', 'all'], cwd=build,
                             capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r'^(tests/(?:unit|qtest|bench)/[\w-]+): ',
                           listing, flags=re.M))
    wanted = tests
    if tests is None:
        wanted = [*series_tests(tree), *existing_tests(),
                  *series_benchmarks(tree)]
    return ['qemu-system-x86_64'] + sorted(
        target for target in known if target.split('/')[-1] in wanted)


def place(name: str) -> Path:
    """
    Where a tree is that QEMU is built in: in the build directory.

    QEMU's configure refuses directories with spaces or colons.  Then it is in
    the cache, and there is a link to it in the build directory.
    """
    path = build_dir() / name
    if not re.search(r'[\s:]', str(path)):
        return path
    real = cache_dir() / 'trees' / digest([str(path)])
    real.mkdir(parents=True, exist_ok=True)
    if not path.is_symlink():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(real)
    return real


def tree() -> Tree:
    """The tree that the workbench builds and that one develops in."""
    return Tree(place('qemu'), source())


def build_qemu() -> Path:
    """Apply, configure and build; returns the binary's path in bin/."""
    workbench = tree()
    workbench.ensure()
    build = workbench.path / 'build'
    configure(workbench.path, build)
    compile_targets(workbench.path, build, *targets(workbench, build))
    binary = build_dir() / 'bin' / 'qemu-system-x86_64'
    binary.parent.mkdir(parents=True, exist_ok=True)
    fresh = binary.with_name('.new')
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(build / 'qemu-system-x86_64')
    fresh.rename(binary)
    # For meson, which installs files and not links to them
    installed = build_dir() / binary.name
    installed.unlink(missing_ok=True)
    try:
        installed.hardlink_to(build / binary.name)
    except OSError:
        # Another file system
        shutil.copy(build / binary.name, installed)
    (build_dir() / 'qemu-version').write_text(workbench.version() + '\n')
    return binary
