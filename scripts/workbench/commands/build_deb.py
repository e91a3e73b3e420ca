# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build Debian 13's qemu packages with the series.

The packages are for x86-64.  The command sets up a Debian 13 in the cache and
builds there.  Packages that were built before from the same sources are not
built again.  It needs root, or sudo without a password.

Exit status: 0 only if the packages are built.
"""

import shutil
from pathlib import Path

from ..base.command import new_parser
from ..base.paths import build_dir
from ..build import deb, packages


def body() -> int:
    parser = new_parser(
        __doc__, example='scripts/build deb --output /tmp/packages')
    parser.add_argument('--output', type=Path, metavar='DIR',
                        default=build_dir() / 'deb',
                        help='write the packages to DIR (%(default)s)')
    options = parser.parse_args()
    packages.install()
    built = deb.build()
    # Nothing of an earlier version beside them
    options.output.mkdir(parents=True, exist_ok=True)
    for old in options.output.glob(f'*{deb.SUFFIX}_*.deb'):
        old.unlink()
    print(f'{options.output}:')
    for package in built:
        shutil.copy(package, options.output)
        print(f'{package.stat().st_size / 1e6:8.1f} MB  {package.name}')
    return 0
