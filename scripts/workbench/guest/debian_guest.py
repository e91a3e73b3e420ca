# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's own kernel as a guest, with a user space of one script, and programs
that this may need."""

import os
from collections.abc import Iterator
from pathlib import Path

from ..base.paths import REPO

INIT = REPO / 'tests' / 'linux' / 'encrypted-init'
PACKAGES = 'QMP_DEBIAN'         # scripts/check guest says where they are

DIRECTORY, PROGRAM = 0o040755, 0o100755


def _entry(name: str, mode: int, data: bytes = b'') -> bytes:
    """A file of an archive for the kernel, as cpio -H newc makes it."""
    fields = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
    head = b'070701' + b''.join(b'%08X' % field for field in fields) + \
        name.encode() + b'\0'
    return b''.join(part + b'\0' * (-len(part) % 4) for part in (head, data))


def _files(packages: Path, init: Path, root: Path | None) -> Iterator[bytes]:
    for directory in ('bin', 'dev', 'proc', 'sys'):
        yield _entry(directory, DIRECTORY)
    yield _entry('bin/busybox', PROGRAM, (packages / 'busybox').read_bytes())
    for module in packages.glob('*.ko'):
        yield _entry(module.name, PROGRAM, module.read_bytes())
    yield _entry('init', PROGRAM, init.read_bytes())
    # A directory comes before what is in it
    for path in sorted(root.rglob('*')) if root else ():
        name = str(path.relative_to(root))
        yield _entry(name, DIRECTORY) if path.is_dir() else \
            _entry(name, PROGRAM, path.read_bytes())
    yield _entry('TRAILER!!!', 0)


def arguments(directory: Path, init: Path = INIT, root: Path | None = None,
              parameters: str = '') -> list[str]:
    """QEMU's, for its firmware to start Linux; they need files there.  `root`
    has files for the guest, `parameters` are the kernel's."""
    packages = Path(os.environ[PACKAGES])
    initramfs = directory / 'initramfs'
    initramfs.write_bytes(b''.join(_files(packages, init, root)))
    return ['-kernel', str(packages / 'vmlinuz'), '-initrd', str(initramfs),
            '-append', f'console=ttyS0 panic=-1 loglevel=6 {parameters}']
