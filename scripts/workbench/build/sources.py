# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources that everything is built from, fetched and checked by apt."""

import hashlib
import lzma
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from ..base import bases
from ..base.bases import Base
from ..base.paths import cache_dir, made_whole
from ..base.steps import Bar, Failure, run_logged, step
from .apt import Apt, VersionKey

SUITE = 'trixie'        # Debian 13, which ships QEMU 10.0 LTS and Linux 6.12
# Names a directory with source tarballs that Debian may have no more
VARIABLE = 'QMP_SOURCES'

# Which kernels there are: Debian suite, and name of the package with its source
KERNELS = {
    'lts': (SUITE, r'linux-source-6\.12'),
    # The newest one
    'new': (f'{SUITE}-backports', r'linux-source-[\d.]+'),
}

OVMF = 'usr/share/ovmf/OVMF.fd'     # the one that says how to launch it

# What runs as a guest: of Debian's kernel, and a program for its first process
GUEST_LINUX = 'linux-image-6.12.'
LINUX_IMAGE = 'vmlinuz'
KERNEL_MODULES = ('net/core/failover', 'drivers/net/net_failover',
                  'drivers/net/virtio_net', 'drivers/block/virtio_blk')
BUSYBOX = 'usr/bin/busybox'

_DIRECTORY = 'sources'


def _cached(pattern: str) -> Path | None:
    """The newest file that matches, of a directory NAME_VERSION."""
    found = sorted((cache_dir() / _DIRECTORY).glob(pattern),
                   key=lambda path: VersionKey(
                       path.parent.name.partition('_')[2]))
    return found[-1] if found else None


def _kept(pattern: str, update: bool, title: str,
          fetch: Callable[[Bar], None]) -> Path:
    """What is cached, fetched if it is not, or if there may be a newer one."""
    if update or not _cached(pattern):
        step(title, fetch)
    found = _cached(pattern)
    assert found
    return found


def _best(found: list[str], pattern: str, what: str) -> str:
    for name in found:
        if re.match(pattern, name):
            return name
    raise Failure(f'Debian has no {what}, only: '
                  f'{", ".join(found) or "nothing"}')


def _check(base: Base, tarball: Path) -> None:
    if base.sha256 and \
            hashlib.sha256(tarball.read_bytes()).hexdigest() != base.sha256:
        raise Failure(f'{tarball} is not the one whose sha256 is '
                      f'{base.sha256}: fetch it again')


def _fetch_qemu(base: Base, bar: Bar) -> None:
    apt = Apt(base.suite)
    apt.update(bar)
    wanted = base.only or f'{base.version}.x'
    try:
        version = _best(apt.versions('qemu', source=True),
                        rf'(\d+:)?{re.escape(base.only)}-' if base.only else
                        rf'(\d+:)?{re.escape(base.version)}\.\d',
                        f'QEMU {wanted} in {base.suite}')
    except Failure as failure:
        raise Failure(f'{failure}; let {VARIABLE} name a directory with its '
                      'tarball, or meson -Dqemu_source= a QEMU '
                      f'{base.version}.x tree') from None
    name = 'qemu_' + re.sub(r'^\d+:|-[^-]*$', '', version)
    with made_whole(cache_dir() / _DIRECTORY / name) as scratch:
        apt.get(bar, 'source', '--download-only', f'qemu={version}',
                cwd=scratch, log='fetch-qemu')
        for tarball in scratch.glob('*.orig.tar.xz'):
            _check(base, tarball)


def _take_qemu(base: Base) -> None:
    """Copy the tarball from the directory that the environment names, if it is
    there."""
    name = f'qemu_{base.only}.orig.tar.xz'
    source = Path(os.environ.get(VARIABLE, '')) / name
    if not os.environ.get(VARIABLE) or not base.only or not source.exists():
        return
    _check(base, source)
    with made_whole(cache_dir() / _DIRECTORY / f'qemu_{base.only}') as scratch:
        shutil.copy(source, scratch)


def _fetch_linux(kernel: str, bar: Bar) -> None:
    suite, pattern = KERNELS[kernel]
    apt = Apt(suite)
    apt.update(bar)
    package = _best(apt.names('linux-source-'), rf'{pattern}$',
                    f'package {pattern} in {suite}')
    version = _best(apt.versions(package, source=False), r'\d', package)
    with made_whole(cache_dir() / _DIRECTORY /
                    f'linux-{kernel}_{version}') as scratch:
        apt.get(bar, 'download', f'{package}={version}', cwd=scratch,
                log='fetch-linux')


def _fetch_ovmf(bar: Bar) -> None:
    apt = Apt(SUITE)
    apt.update(bar)
    version = _best(apt.versions('ovmf', source=False), r'\d', 'ovmf')
    with made_whole(cache_dir() / _DIRECTORY / f'ovmf_{version}') as scratch:
        apt.get(bar, 'download', f'ovmf={version}', cwd=scratch,
                log='fetch-ovmf')
        package, = scratch.glob('*.deb')
        with tempfile.TemporaryDirectory(dir=scratch) as directory:
            run_logged(['dpkg-deb', '--extract', package, directory], bar,
                       log='extract-ovmf')
            shutil.copy(Path(directory) / OVMF, scratch)


def _fetch_guest(bar: Bar) -> None:
    apt = Apt(SUITE)
    apt.update(bar)
    image = _best(apt.names(GUEST_LINUX),
                  rf'{re.escape(GUEST_LINUX)}\d+\+deb\d+-amd64$', GUEST_LINUX)
    version = image.removeprefix('linux-image-').removesuffix('-amd64')
    with made_whole(cache_dir() / _DIRECTORY / f'guest_{version}') as scratch, \
            tempfile.TemporaryDirectory(dir=scratch) as directory:
        place = Path(directory)
        apt.get(bar, 'download', image, 'busybox-static', cwd=place,
                log='fetch-guest')
        for package in place.glob('*.deb'):
            run_logged(['dpkg-deb', '--extract', package, place], bar,
                       log='extract-guest')
        kernel, = place.glob('boot/vmlinuz-*')
        shutil.copy(kernel, scratch / LINUX_IMAGE)
        shutil.copy(place / BUSYBOX, scratch)
        for module in KERNEL_MODULES:
            packed, = place.glob(f'usr/lib/modules/*/kernel/{module}.ko.xz')
            (scratch / packed.stem).write_bytes(
                lzma.decompress(packed.read_bytes()))


def qemu_tarball(base: Base | None = None, update: bool = False) -> Path:
    """
    The upstream tarball inside Debian's qemu source package.

    It stays what it is while it is cached; `update` looks for a newer one.
    """
    base = base or bases.current()
    pattern = f'qemu_{base.only or base.version + ".*"}/qemu_*.orig.tar.xz'
    if not _cached(pattern):
        _take_qemu(base)
    # There is nothing newer than the only one
    return _kept(pattern, update and not base.only,
                 f'Fetch QEMU {base.only or base.version + ".x"} of Debian '
                 f'{base.suite}', lambda bar: _fetch_qemu(base, bar))


def linux_package(kernel: str, update: bool = False) -> Path:
    """Debian's package with the source of one of KERNELS, a .deb."""
    return _kept(f'linux-{kernel}_*/*.deb', update,
                 f'Fetch the source of Linux ({kernel}) of Debian '
                 f'{KERNELS[kernel][0]}',
                 lambda bar: _fetch_linux(kernel, bar))


def ovmf_image(update: bool = False) -> Path:
    """UEFI firmware of Debian's, which SEV-SNP guests start with."""
    return _kept(f'ovmf_*/{Path(OVMF).name}', update,
                 f'Fetch OVMF of Debian {SUITE}', _fetch_ovmf)


def debian_guest(update: bool = False) -> Path:
    """A directory with LINUX_IMAGE, its modules and busybox, as Debian has
    them."""
    return _kept(f'guest_*/{LINUX_IMAGE}', update,
                 f'Fetch Linux of Debian {SUITE} for a guest',
                 _fetch_guest).parent
