# SPDX-License-Identifier: GPL-2.0-or-later
"""
Measure the host memory of an SEV-SNP guest.

Debian's kernel runs on the test kernel's SEV-SNP with 1 GiB.  It uses a disk and
the network, then nearly all of its memory, and the disk again.  A memory cgroup
of the host is read all the time, for

unpatched     QEMU with the series up to the patch that adds software-protected
              VMs
discard=both  QEMU with the series
discard=none  the same, but neither half of a page is freed

All memory of QEMU is in the figures, its own too.

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from pathlib import Path

from ..base.command import new_parser
from ..measure import memory


def body() -> int:
    parser = new_parser(__doc__, example='scripts/measure memory --plot '
                        'docs/host-memory.svg')
    parser.add_argument('--plot', type=Path, metavar='FILE',
                        help='draw memory over time, as SVG')
    return memory.run(parser.parse_args())
