# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian 13's own qemu packages, with the series in them."""

from pathlib import Path

from ..base.bases import FIRST
from ..base.paths import cache_dir, digest, made_whole
from ..base.steps import Bar, ninja_progress, step
from . import chroot
from .qemu import patches
from .sources import qemu_tarball

# More than the version that it is made from, less than Debian's next one
SUFFIX = '+private1'
PROFILES = 'nocheck,pkg.qemu.use-upstream-vdso,pkg.qemu.omit-user,' \
           'pkg.qemu.omit-system-xen'
BUILD = Path(__file__).with_name('deb-build')


def source_package() -> Path:
    """The .dsc of Debian's qemu."""
    source, = qemu_tarball(FIRST).parent.glob('*.dsc')
    return source


def _build_root(source: Path) -> Path:
    return chroot.make(
        'qemu-build', ['ccache', 'debhelper', 'dpkg-dev'], [source],
        'apt-get build-dep --arch-only '
        f'--build-profiles={PROFILES} ./{source.name}')


def build() -> list[Path]:
    """The packages, built if this content has not been built before."""
    source = source_package()
    root_tarball = _build_root(source)
    series = patches(FIRST.series)
    target = cache_dir() / chroot.DIRECTORY / ('qemu-' + digest(
        [root_tarball.parent.name, source, SUFFIX, BUILD,
         *(part for patch in series for part in (patch.name, patch))]))

    def body(bar: Bar) -> None:
        ccache = cache_dir() / chroot.DIRECTORY / 'ccache'
        ccache.mkdir(exist_ok=True)
        with made_whole(target) as scratch, \
                chroot.unpacked(root_tarball) as root:
            chroot.run(
                bar, root,
                ['env', f'DEB_BUILD_PROFILES={PROFILES.replace(",", " ")}',
                 'sh', '-c', BUILD.read_text(), BUILD.name, SUFFIX,
                 *(str(patch.relative_to(FIRST.series)) for patch in series)],
                mounts={source.parent: '/source', FIRST.series: '/patches',
                        ccache: '/ccache', scratch: '/output'},
                log='deb-build', progress=ninja_progress)

    if not target.exists():
        step(f'Build Debian packages of {source.stem} with the series', body)
    return sorted(target.glob('*.deb'))
