# SPDX-License-Identifier: GPL-2.0-or-later
"""
Install packages, and fetch sources.

Packages are installed with apt, as root or with sudo.  The other commands do
this too.

Exit status: 0 only if all packages and sources are there.
"""

import shutil

from ..base import bases
from ..base.command import new_parser
from ..base.paths import build_dir
from ..base.steps import Failure
from ..build import guest_load, libvirt_root, packages, sources

NEEDED_DISK = 8 << 30       # bytes: two trees, two builds, their caches


def check_disk() -> None:
    build_dir().mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(build_dir()).free
    if free < NEEDED_DISK and not (build_dir() / 'qemu-version').exists():
        raise Failure(f'{build_dir()} has {free >> 30} GiB free, a first '
                      f'build needs {NEEDED_DISK >> 30}: free some space')


def body() -> int:
    parser = new_parser(__doc__, example='scripts/build prepare --update')
    parser.add_argument('--update', action='store_true',
                        help='fetch newer sources than those in the cache')
    options = parser.parse_args()
    check_disk()
    packages.install()
    for base in dict.fromkeys((bases.FIRST, bases.current())):
        sources.qemu_tarball(base, options.update)
    for name in sources.KERNELS:
        sources.linux_package(name, options.update)
    sources.ovmf_image(options.update)
    sources.debian_guest(options.update)
    guest_load.guest_load()
    for release in libvirt_root.SUITES:
        libvirt_root.libvirt_root(release)
    return 0
