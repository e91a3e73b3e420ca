# SPDX-License-Identifier: GPL-2.0-or-later
"""
Write the table of what works into README.rst.

The table is made of configs/features.cfg.  "scripts/check docs" fails if
README.rst has another one, or if scripts/check does not run a test that
configs/features.cfg names.

Exit status: 0 only if the table is written.
"""

from ..base.command import new_parser
from ..check import features


def body() -> int:
    new_parser(__doc__, example='scripts/build features').parse_args()
    features.write()
    return 0
