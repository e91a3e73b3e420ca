# SPDX-License-Identifier: GPL-2.0-or-later
"""
The libvirt of a later Debian, on a machine that may have an older one.

Debian 12 has libvirt 9.0.  SEV-SNP is known to libvirt 10.5 and later, TDX to
11.6 and later.
"""

import shutil
import subprocess
from pathlib import Path

from ..base.paths import digest, made_whole
from ..base.steps import Bar, step
from . import chroot
from .sources import SUITE

VARIABLE = 'QMP_LIBVIRT'
# Debian's suite, by what scripts/with-kvm calls its libvirt
SUITES = {'debian-13': SUITE, 'debian-14': 'forky'}
# libvirt, and what has to be there to run it in a root of its own
PACKAGES = ('libvirt-daemon', 'libvirt-daemon-driver-qemu', 'base-files',
            'base-passwd', 'coreutils', 'dash', 'libc-bin')
# Where it finds the root file system of the machine on which it runs
HOST = '/host'
# QEMU runs on the machine, at the same path
EMULATOR = f'''\
#!/bin/sh
exec chroot {HOST} "$0" "$@"
'''
USERS = 'usr/share/base-passwd'


def libvirt_root(release: str = 'debian-13') -> Path:
    """A root file system with libvirtd; only its files are of use here."""
    suite = SUITES[release]
    tarball = chroot.extract('libvirt', suite, PACKAGES)
    root = tarball.parent / digest([EMULATOR])

    def body(_bar: Bar) -> None:
        with made_whole(root) as scratch:
            subprocess.run(
                ['tar', '--extract', '--file', tarball, '--directory', scratch,
                 '--no-same-owner', '--exclude=./dev/*',
                 '--exclude=./usr/bin/qemu-system-*'], check=True)
            for name in ('passwd', 'group'):
                shutil.copy(scratch / USERS / f'{name}.master',
                            scratch / 'etc' / name)
            emulator = scratch / 'usr' / 'bin' / 'qemu-system-x86_64'
            emulator.write_text(EMULATOR)
            emulator.chmod(0o755)

    if not root.exists():
        step(f'Unpack libvirt of Debian {suite}', body)
    return root
