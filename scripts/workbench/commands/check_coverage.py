# SPDX-License-Identifier: GPL-2.0-or-later
"""
Show how much of the series' files the tests execute.

The tests are the unit tests and qtests of the series, which need no KVM.  The
tables have lines that are not executed, and branches that are not taken both
ways, in the files that the series adds.  The test of all devices is among them
only in scripts/check --nightly, for which the sanitizer looks at the devices.

Exit status: 0 only if the tests pass and the coverage reaches its targets.
"""

from ..base.command import new_parser
from ..check import coverage
from ..machine.surroundings import nightly


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check coverage')
    parser.parse_args()
    return coverage.show(all_of_them=nightly())
