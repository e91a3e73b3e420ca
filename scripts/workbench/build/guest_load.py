# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs and a kernel module that keep Debian's kernel as a guest busy."""

import subprocess
from pathlib import Path

from ..base.paths import REPO, made_whole
from ..base.steps import Bar, step
from . import chroot
from .sources import debian_guest

VARIABLE = 'QMP_GUEST_LOAD'
MODULE = REPO / 'tests' / 'linux' / 'load' / 'convert.c'
PROGRAMS = ('fio', 'iperf3')
# With the libraries that they need, where these are
COLLECT = f'''\
echo 'obj-m := {MODULE.stem}.o' >Makefile
make -C /lib/modules/*/build M="$PWD" modules
mkdir root
for program in {' '.join(PROGRAMS)}; do
    echo /usr/bin/$program
    ldd /usr/bin/$program | grep --only-matching '/[^ ]*'
done | sort --unique |
    xargs cp --parents --dereference --target-directory=root
cp {MODULE.stem}.ko root
# The rest is of no use any more
rm --recursive /usr
'''


def guest_load() -> Path:
    """A directory with the module, and with the programs' own directories."""
    version = debian_guest().name.partition('_')[2]
    tarball = chroot.make(
        'guest-load', (*PROGRAMS, 'make', f'linux-headers-{version}-amd64'),
        [MODULE], COLLECT)
    root = tarball.parent / 'root'

    def body(_bar: Bar) -> None:
        with made_whole(root) as scratch:
            subprocess.run(
                ['tar', '--extract', '--file', tarball, '--directory', scratch,
                 '--no-same-owner', '--strip-components=3', './files/root'],
                check=True)

    if not root.exists():
        step('Unpack what keeps a guest busy', body)
    return root
