# SPDX-License-Identifier: GPL-2.0-or-later
"""
Measure how long it takes until an SEV-SNP guest runs.

Guests have 1, 16 and 64 GiB, of which nothing is used.  The emulated machine
counts instructions: those of QEMU, KVM and the guest, from the start of QEMU to
the first output of the guest.

patched    QEMU with the series
unpatched  QEMU with the series up to the patch that adds software-protected
           VMs

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from ..base.command import new_parser
from ..measure import start


def body() -> int:
    parser = new_parser(__doc__, example='scripts/measure start')
    return start.run(parser.parse_args())
