# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build the documentation into docs/ in the build directory.

"scripts/check docs" also checks it.

Exit status: 0 only if it builds without warnings.
"""

from ..base.command import new_parser
from ..build import packages
from ..docs import pages


def body() -> int:
    new_parser(__doc__, example='scripts/build docs').parse_args()
    packages.install()
    pages.build()
    return 0
