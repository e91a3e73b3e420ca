# SPDX-License-Identifier: GPL-2.0-or-later
"""
Set the QEMU that is built.  For meson.

meson's options qemu_base and qemu_source set it: "meson configure build
-Dqemu_source=PATH".

Exit status: 0 only if the tree can be used.
"""

from ..base import bases
from ..base.command import new_parser
from ..build import qemu


def body() -> int:
    parser = new_parser(__doc__,
                        example='scripts/build source --qemu-source ~/qemu')
    parser.add_argument('--qemu-source', default='', metavar='PATH',
                        help="apply the series to a copy of this QEMU tree "
                        "(default: Debian's source)")
    parser.add_argument('--qemu-base', default='', metavar='VERSION',
                        help='take the series for this QEMU: '
                        f'{" or ".join(bases.BASES)} (default: what the build '
                        f'directory has, or {bases.FIRST.version})')
    options = parser.parse_args()
    bases.remember(options.qemu_base or bases.current().version)
    qemu.remember_source(options.qemu_source)
    return 0
