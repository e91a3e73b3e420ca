# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw the trace of a guest with private memory, or make a test of it.

Exit status: 0 only if the subcommand succeeded.
"""

from ..base.command import new_parser


def body() -> None:
    new_parser(__doc__, example='scripts/trace plot build/logs/demo.trace',
               subcommand_needed=True).parse_args()
