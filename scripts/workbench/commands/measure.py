# SPDX-License-Identifier: GPL-2.0-or-later
"""Compare QEMU with the series to QEMU without it.

Each subcommand installs and builds all it needs: packages, sources, kernel,
both QEMUs.

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from ..base.command import new_parser


def body() -> None:
    new_parser(__doc__, example='scripts/measure conversion --rounds 5',
               subcommand_needed=True).parse_args()
