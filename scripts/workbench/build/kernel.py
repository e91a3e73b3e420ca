# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernels that give KVM with private memory, built once per content."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..base.paths import REPO, cache_dir, digest, made_whole
from ..base.steps import Bar, Failure, counted_progress, run_logged, step
from .ccache import environment
from .sources import linux_package

CONFIGS = REPO / 'configs' / 'kernel'
PATCHES = REPO / 'tests' / 'kernel'
BUILD_LINES = 1750      # lines that make prints, for the bar only


def compiler() -> str:
    return subprocess.run(['gcc', '--version'], check=True, text=True,
                          capture_output=True).stdout.splitlines()[0]


def _files(directory: Path, kernel: str, suffix: str) -> list[Path]:
    """For all kernels, then what is only for this one."""
    return [*sorted(directory.glob(f'*.{suffix}')),
            *sorted((directory / kernel).glob(f'*.{suffix}'))]


@contextmanager
def unpacked(package: Path, place: Path, bar: Bar,
             *only: str) -> Iterator[Path]:
    """The source in Debian's package, or what matches these patterns of tar,
    in a scratch directory of `place`."""
    with tempfile.TemporaryDirectory(dir=place,
                                     prefix='.building-') as directory:
        tree = Path(directory) / 'linux'
        tree.mkdir()
        run_logged(['dpkg-deb', '--extract', package, directory], bar,
                   log='kernel-extract')
        tarball, = Path(directory).glob('usr/src/*.tar.xz')
        run_logged(['tar', '--extract', '--no-same-owner', '--file', tarball,
                    '--strip-components=1', '--directory', tree,
                    *(['--wildcards', *only] if only else [])], bar,
                   log='kernel-unpack')
        yield tree


def _configure(tree: Path, fragments: list[Path], bar: Bar) -> None:
    run_logged(['make', '--silent', 'tinyconfig'], bar, cwd=tree,
               log='kernel-tinyconfig')
    run_logged(['scripts/kconfig/merge_config.sh', '-m', '.config',
                *map(str, fragments)], bar, cwd=tree, log='kernel-config')
    run_logged(['make', '--silent', 'olddefconfig'], bar, cwd=tree,
               log='kernel-olddefconfig')
    have = set((tree / '.config').read_text().splitlines())
    for fragment in fragments:
        for line in fragment.read_text().splitlines():
            if line.startswith('CONFIG_') and line not in have:
                raise Failure(f'{fragment.name}: the kernel did not accept '
                              f'{line}: add the option on which it depends')


def _build(package: Path, patches: list[Path], fragments: list[Path],
           target: Path, bar: Bar) -> None:
    jobs = str(os.cpu_count() or 1)
    with made_whole(target) as scratch, \
            unpacked(package, target.parent, bar) as tree:
        for patch in patches:
            run_logged(['patch', '--strip=1', '--input', patch], bar,
                       cwd=tree, log=f'kernel-{patch.stem}')
        _configure(tree, fragments, bar)
        run_logged(['make', f'--jobs={jobs}', 'CC=ccache gcc', 'bzImage'],
                   bar, cwd=tree, log='kernel-make', env=environment(tree),
                   progress=counted_progress(BUILD_LINES, r'  [A-Z]+ '))
        shutil.copy(tree / 'arch/x86/boot/bzImage', scratch)
        shutil.copy(tree / '.config', scratch / 'config')


def bzimage(kernel: str) -> Path:
    """
    The image of one of sources.KERNELS.

    It is built if this content has not been built before.
    """
    package = linux_package(kernel)
    fragments = _files(CONFIGS, kernel, 'config')
    patches = _files(PATCHES, kernel, 'patch')
    name = digest([package.name, compiler(), *fragments, *patches])
    target = cache_dir() / 'kernel' / name
    if not target.is_dir():
        step(f'Build kernel from {package.name.split("_")[1]}',
             lambda bar: _build(package, patches, fragments, target, bar))
    return target / 'bzImage'
