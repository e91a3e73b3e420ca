# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build everything that the tests need, or one part.

Without a subcommand it installs packages and fetches sources, and builds the
kernels, QEMU with the series, and the test guests.  It is safe to repeat: it
builds only parts that have changed.

Exit status: 0 only if everything is built.
"""

from ..base.command import new_parser
from ..build.meson import build


def body() -> int:
    new_parser(__doc__, example='scripts/build prepare').parse_args()
    build()
    return 0
