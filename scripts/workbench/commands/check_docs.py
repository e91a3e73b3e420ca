# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build the documentation and check it.

pages     the targets of links exist, the files and functions that it names
          exist, a test runs each command, and scripts/check runs the tests
          that show what README.rst's table says
commands  its commands for this machine print the output that it shows

tests/avocado/docs.py runs the commands that need a KVM with private memory.

Exit status: 0 only if the documentation builds and all checks pass.
"""

from ..base.command import new_parser
from ..build import packages
from ..check import features
from ..docs import pages


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check docs pages')
    parser.add_argument('part', nargs='?', choices=('pages', 'commands'),
                        help='see above (default: both)')
    part = parser.parse_args().part
    packages.install()
    good = True
    if part != 'commands':
        pages.build()
        good &= pages.check_pages()
        good &= pages.check('Tests show what the table of README.rst says',
                            features.findings)
    if part != 'pages':
        good &= pages.check_commands()
    return 0 if good else 1
