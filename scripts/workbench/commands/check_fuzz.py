# SPDX-License-Identifier: GPL-2.0-or-later
"""
Fuzz private memory, without KVM.

The targets are:

private-memory         conversions with failures, compared to a model
private-memory-access  accesses of devices and of the monitor

An input that fails is kept in fuzz/ in the build directory.

Exit status: 0 only if no input failed.
"""

from pathlib import Path

from ..base.command import new_parser
from ..check import fuzzing


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check fuzz --seconds 60')
    parser.add_argument('--target', choices=fuzzing.CORPORA,
                        help='see above (default: both, one after the other)')
    parser.add_argument('--seconds', type=int, default=3600, metavar='N',
                        help='fuzz each target for N seconds, after all inputs '
                        'in tests/fuzz have run (%(default)s)')
    parser.add_argument('--keep', action='store_true',
                        help='then add the inputs that reach new code to the '
                        'corpus in tests/fuzz, and remove those that are not '
                        'needed')
    parser.add_argument('--input', type=Path, metavar='FILE',
                        help='run only this input, and show all output; '
                        'without --target, it is one of private-memory')
    options = parser.parse_args()
    first = next(iter(fuzzing.CORPORA))
    if options.input:
        return fuzzing.replay(options.target or first, options.input)
    targets = [options.target] if options.target else list(fuzzing.CORPORA)
    fuzzing.fuzz(targets, options.seconds, options.keep)
    return 0
