# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build QEMU with the series, and its tests.

Exit status: 0 only if QEMU is built.
"""

from ..base.command import new_parser
from ..build import qemu


def body() -> int:
    new_parser(__doc__, example='scripts/build qemu').parse_args()
    qemu.build_qemu()
    return 0
