# SPDX-License-Identifier: GPL-2.0-or-later
"""
Set the QEMU tree that is built.  For meson.

meson's option qemu_source sets it: "meson configure build
-Dqemu_source=PATH".

Exit status: 0 only if the tree can be used.
"""

from ..base.command import new_parser
from ..build import qemu


def body() -> int:
    parser = new_parser(__doc__,
                        example='scripts/build source --qemu-source ~/qemu')
    parser.add_argument('--qemu-source', default='', metavar='PATH',
                        help="apply the series to a copy of this QEMU 10.0.x "
                        "tree (default: Debian's source)")
    qemu.remember_source(parser.parse_args().qemu_source)
    return 0
