# SPDX-License-Identifier: GPL-2.0-or-later
"""
Measure the mapping of memory for an assigned device.

QEMU maps shared memory in two ways:

pages   each page on its own (map-granularity=4k), as in QEMU 10.2
pieces  up to 2 MiB with one call, which is the default

QEMU 10.0 refuses assigned devices if memory can be private.  The tables have
the calls that map all shared memory once, and the time from the first to the
last of these calls.  On an emulated machine only the ratios are meaningful.

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from ..base.command import new_parser
from ..measure import dma


def body() -> int:
    parser = new_parser(__doc__, example='scripts/measure dma')
    return dma.run(parser.parse_args())
