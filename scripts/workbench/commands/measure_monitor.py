# SPDX-License-Identifier: GPL-2.0-or-later
"""
Measure the time of an answer of the monitor while a guest converts.

The guest converts 2 MiB, 512 MiB or 2 GiB with one hypercall, in runs of
pages, and query-status is asked again and again.  The row with 2 MiB shows the
noise.

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from ..base.command import new_parser
from ..measure import monitor


def body() -> int:
    parser = new_parser(__doc__, example='scripts/measure monitor')
    return monitor.run(parser.parse_args())
