# SPDX-License-Identifier: GPL-2.0-or-later
"""The versions of QEMU that the series exists for: its bases."""

import os
from dataclasses import dataclass
from pathlib import Path

from .paths import BASE_VARIABLE, DEFAULT_BASE, REPO, build_dir
from .steps import Failure

PATCHES = REPO / 'patches'


@dataclass(frozen=True)
class Base:
    """QEMU 10.0.x, for instance."""
    version: str                # '10.0'
    suite: str                  # of Debian, where its source is
    # Options of configure, and tests, that are in configs/ and not in it
    without: tuple[str, ...] = ()
    # One version only, with the checksum of its tarball; else the newest one
    only: str = ''
    sha256: str = ''

    @property
    def series(self) -> Path:
        """The directory of its patches."""
        return PATCHES / f'qemu-{self.version}'

    @property
    def exported(self) -> Path:
        """Names the version that the series was exported against."""
        return self.series / 'BASE'

    @property
    def carried(self) -> Path:
        """Names the patches of the first base that this series was carried
        from, as git names a directory."""
        return self.series / 'CARRIED'


BASES = {base.version: base for base in (
    # The upstream LTS, which Debian 13 has
    Base(DEFAULT_BASE, 'trixie'),
    # The first with TDX
    Base('10.2', 'sid',
         without=('--enable-avx2', '--enable-avx512bw', 'amd-iommu-test'),
         only='10.2.2+ds',
         sha256='be05230fe47a6937cd29f28f562932c8'
                '125f9c93c2a82c625198f7a4aa601dfb'),
)}
FIRST = BASES[DEFAULT_BASE]


def named(version: str) -> Base:
    if version not in BASES:
        raise Failure(f'there is no series for QEMU {version}, only for '
                      f'{", ".join(BASES)}')
    return BASES[version]


def _file() -> Path:
    return build_dir() / 'qemu-base'


def current() -> Base:
    """
    The base that is built in the build directory.

    It is what meson's option qemu_base says, and before meson has run what the
    environment says.
    """
    file = _file()
    asked = os.environ.get(BASE_VARIABLE)
    there = file.read_text().strip() if file.exists() else ''
    if asked and there and asked != there:
        raise Failure(f'{build_dir()} is for QEMU {there}, not {asked}: use '
                      'another build directory for that, or unset '
                      f'{BASE_VARIABLE}')
    return named(there or asked or DEFAULT_BASE)


def remember(version: str) -> None:
    """What current() is to say from now on."""
    base = named(version)
    _file().parent.mkdir(parents=True, exist_ok=True)
    _file().write_text(f'{base.version}\n')
