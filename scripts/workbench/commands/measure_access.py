# SPDX-License-Identifier: GPL-2.0-or-later
"""
Count the instructions of an access of QEMU to memory.

The instructions are those of address_space_write() and
address_space_read_full(), in a VM without private memory.  Needs valgrind.

patched    QEMU with the series
unpatched  QEMU with the series up to the patch that adds software-protected
           VMs

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from ..base.command import new_parser
from ..measure import access


def body() -> int:
    parser = new_parser(__doc__, example='scripts/measure access')
    return access.run(parser.parse_args())
