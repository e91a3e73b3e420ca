# SPDX-License-Identifier: GPL-2.0-or-later
"""The sources that everything is built from, fetched and checked by apt."""

import re
from pathlib import Path

from .apt import Apt
from .paths import cache_dir, made_whole
from .steps import Bar, Failure, step

SUITE = 'trixie'        # Debian 13, which ships QEMU 10.0 LTS and Linux 6.12
QEMU_SERIES = '10.0'
LINUX_PACKAGE = 'linux-source-6.12'

_DIRECTORY = 'sources'


def _cached(pattern: str) -> Path | None:
    found = sorted((cache_dir() / _DIRECTORY).glob(pattern))
    return found[-1] if found else None


def _best(versions: list[str], pattern: str, what: str) -> str:
    for version in versions:
        if re.match(pattern, version):
            return version
    raise Failure(f'Debian {SUITE} offers no {what}, only: '
                  f'{", ".join(versions) or "nothing"}')


def _fetch_qemu(bar: Bar) -> None:
    apt = Apt(SUITE)
    apt.update(bar)
    version = _best(apt.versions('qemu', source=True),
                    rf'(\d+:)?{re.escape(QEMU_SERIES)}\.\d',
                    f'QEMU {QEMU_SERIES}.x')
    name = 'qemu_' + re.sub(r'^\d+:|-[^-]*$', '', version)
    with made_whole(cache_dir() / _DIRECTORY / name) as scratch:
        apt.get(bar, 'source', '--download-only', f'qemu={version}',
                cwd=scratch, log='fetch-qemu')


def _fetch_linux(bar: Bar) -> None:
    apt = Apt(SUITE)
    apt.update(bar)
    versions = apt.versions(LINUX_PACKAGE, source=False)
    version = _best(versions, r'\d', LINUX_PACKAGE)
    with made_whole(cache_dir() / _DIRECTORY /
                    f'{LINUX_PACKAGE}_{version}') as scratch:
        apt.get(bar, 'download', f'{LINUX_PACKAGE}={version}', cwd=scratch,
                log='fetch-linux')


def qemu_tarball(update: bool = False) -> Path:
    """
    The upstream tarball inside Debian's qemu source package.

    It stays what it is while it is cached; `update` looks for a newer one.
    """
    pattern = f'qemu_{QEMU_SERIES}.*/qemu_*.orig.tar.xz'
    if update or not _cached(pattern):
        step(f'Fetch QEMU {QEMU_SERIES}.x of Debian {SUITE}', _fetch_qemu)
    tarball = _cached(pattern)
    assert tarball
    return tarball


def linux_package(update: bool = False) -> Path:
    """Debian's package with the source of Linux, a .deb."""
    pattern = f'{LINUX_PACKAGE}_*/*.deb'
    if update or not _cached(pattern):
        step(f'Fetch {LINUX_PACKAGE} of Debian {SUITE}', _fetch_linux)
    package = _cached(pattern)
    assert package
    return package
