# SPDX-License-Identifier: GPL-2.0-or-later
"""
Put faults into the series, which tests must notice.

The faults are in tests/mutation/faults.toml.  The command makes one after the
other, and runs the tests without KVM until one fails.

Exit status: 0 only if a test notices each fault.
"""

from ..base.command import new_parser
from ..check import mutation


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check mutation guard')
    parser.add_argument('fault', nargs='?', default='',
                        help='only faults whose name contains this text '
                        '(default: all)')
    options = parser.parse_args()
    return mutation.run(options.fault)
