# SPDX-License-Identifier: GPL-2.0-or-later
"""
The libvirt of Debian 13, on a machine that may have an older one.

Debian 12 has libvirt 9.0.  SEV-SNP is known to libvirt 10.5 and later.
"""

import subprocess
from pathlib import Path

from ..base.paths import made_whole
from ..base.steps import Bar, step
from . import chroot

VARIABLE = 'QMP_LIBVIRT'
PACKAGES = ('libvirt-daemon', 'libvirt-daemon-driver-qemu')
# Where it finds the root file system of the machine on which it runs
HOST = '/host'
# QEMU is not in it: it runs on the machine, at the same path
NO_QEMU = f'''\
rm --force /usr/bin/qemu-system-*
printf '#!/bin/sh\\nexec chroot {HOST} "$0" "$@"\\n' >/usr/bin/qemu-system-x86_64
chmod +x /usr/bin/qemu-system-x86_64
'''


def libvirt_root() -> Path:
    """A root file system with libvirtd; only its files are of use here."""
    tarball = chroot.make('libvirt', PACKAGES, [], NO_QEMU)
    root = tarball.parent / 'root'

    def body(_bar: Bar) -> None:
        with made_whole(root) as scratch:
            subprocess.run(
                ['tar', '--extract', '--file', tarball, '--directory', scratch,
                 '--no-same-owner', '--exclude=./dev/*'], check=True)

    if not root.exists():
        step(f'Unpack libvirt of Debian {chroot.SUITE}', body)
    return root
