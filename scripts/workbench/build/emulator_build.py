# SPDX-License-Identifier: GPL-2.0-or-later
"""
The QEMU that is the emulated machine, built once per content.

It is QEMU without the series, with mends of its emulation of AMD's SVM, which
KVM runs on there.
"""

import os
import shutil
import tempfile
from pathlib import Path

from ..base.bases import FIRST
from ..base.paths import EMULATOR_SERIES, REPO, cache_dir, digest, made_whole
from ..base.steps import Failure, step
from . import qemu
from .kernel import compiler
from .qemu import Tree, patches
from .sources import qemu_tarball

OPTIONS = REPO / 'configs' / 'emulator.options'
DEVICES = REPO / 'configs' / 'emulator.mak'
BINARY = 'qemu-system-x86_64'
CPU = 'EPYC,+svm,+npt,+nrip-save,+decodeassists'
# With SEV, of which it has the C-bit only
C_BIT_CPU = f'{CPU},+sev'
# Names another QEMU for it, such as the distribution's
VARIABLE = 'WITH_KVM_EMULATOR'


def tree() -> Tree:
    """The tree that one develops in; with-kvm has no need of it."""
    return Tree(qemu.place('emulator'), series=EMULATOR_SERIES)


def is_other() -> bool:
    """Whether it is a QEMU that may lack the mends."""
    return bool(os.environ.get(VARIABLE))


def _build(target: Path) -> None:
    # Not in the cache itself, whose name may have spaces
    with tempfile.TemporaryDirectory(prefix='emulator-', dir='/var/tmp') as \
            directory, made_whole(target) as scratch:
        source = Tree(Path(directory) / 'qemu', series=EMULATOR_SERIES)
        step('Unpack QEMU for the emulated machine',
             lambda bar: source.create(bar, patches(EMULATOR_SERIES)))
        shutil.copy(DEVICES, source.path / 'configs' / 'devices' /
                    'x86_64-softmmu' / DEVICES.name)
        build = source.path / 'build-emulator'
        qemu.configure(source.path, build, file=OPTIONS, base=FIRST)
        qemu.compile_targets(source.path, build, BINARY,
                             title='Build QEMU for the emulated machine')
        shutil.copy(build / BINARY, scratch)


def binary() -> str:
    """Its path.  It is built if this content has not been built before."""
    other = os.environ.get(VARIABLE)
    if other:
        if not os.access(other, os.X_OK):
            raise Failure(f'{VARIABLE}={other}: this is no program; unset it, '
                          'or let it name a qemu-system-x86_64')
        return other
    target = cache_dir() / 'emulator' / digest(
        [qemu_tarball(FIRST).name, compiler(), OPTIONS, DEVICES,
         *patches(EMULATOR_SERIES)])
    if not target.is_dir():
        _build(target)
    return str(target / BINARY)
