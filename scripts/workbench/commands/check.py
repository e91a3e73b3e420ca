# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run all tests, or one part of them.

Without a subcommand it runs these suites:

series    the series as patches
unit      unit tests of QEMU and of the workbench
qtest     qtests of QEMU
coverage  how much of the series' files the unit tests and qtests execute
fuzz      some fuzzing
machine   the emulated machine of scripts/with-kvm
avocado   tests on real KVM
docs      the documentation
deb       packages for Debian 13

The command installs and builds all it needs: packages, sources, kernel, QEMU.
A test that passed before with the same inputs is not run again.  The table at
the end says for each test why it was run or reused.  See "What is run again" in
docs/developing.rst.

A subcommand runs one part, whatever passed before.

Exit status: 0 only if all tests pass.
"""

import time

from ..base.command import new_parser
from ..build.meson import build
from ..check import suite
from ..check.stamps import sources


def body() -> int:
    parser = new_parser(
        __doc__, example='scripts/check --suite unit --suite qtest')
    parser.add_argument('--suite', action='append', default=[],
                        choices=('series', 'unit', 'qtest', 'coverage',
                                 'fuzz', 'machine', 'avocado', 'docs', 'deb'),
                        help='run only this suite; may be repeated')
    parser.add_argument('--all', action='store_true',
                        help='run all tests, also those that passed before')
    parser.add_argument('--nightly', action='store_true',
                        help='run all tests in full: all tests on both '
                        'kernels, long storms, long fuzzing, each prefix of '
                        'the series, deliberate faults; takes hours')
    parser.add_argument('--dry-run', action='store_true',
                        help='build, and show what would be run and why')
    options = parser.parse_args()
    start = time.monotonic()
    # Until nothing has changed while it was built: what is tested is what is
    # there
    before = None
    while before != (before := sources()):
        build()
    return suite.check(options.suite,
                       take_stamps=not (options.all or options.nightly),
                       nightly=options.nightly, dry_run=options.dry_run,
                       start=start)
