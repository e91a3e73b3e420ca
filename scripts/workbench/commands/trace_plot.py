# SPDX-License-Identifier: GPL-2.0-or-later
"""
Draw the conversions of a guest over time.

The upper part shows the state of guest-physical memory over time, private or
shared.  A cross marks a conversion that failed, at the start of its range.  A
square marks a fault that stopped the VM.  A dotted line marks a reset.

The lower part shows the number of conversions per second, to private upwards
and to shared downwards.

The scale of the address axis changes at dashed lines.  Holes, and memory that
changes as a whole or never, take little space, so that a single page is visible
in many GiB.  The size of each part is on the right.

A trace is QEMU's log with
  -trace memory_convert_end -trace "guest_memfd_manager_*map"
  -trace guest_memfd_manager_reset -trace kvm_memory_fault_give_up
  -msg timestamp=on -D FILE
from the start of the VM.  It may have other events, too.  scripts/demo writes a
trace to build/logs/demo.trace.

Exit status: 0 only if the picture is drawn.
"""

import re
from pathlib import Path

from ..base.command import new_parser
from ..base.steps import Failure, step
from ..build import packages
from ..trace.history import read

SUFFIXES = ('.svg', '.png')


def period(text: str) -> tuple[float, float]:
    match = re.fullmatch(r'([\d.]+)-([\d.]+)', text)
    if not match or not float(match[1]) < float(match[2]):
        raise ValueError
    return float(match[1]), float(match[2])


def body() -> int:
    parser = new_parser(
        __doc__, example='scripts/trace plot build/logs/demo.trace '
        '--output demo.png --seconds 0.5-1.5')
    parser.add_argument('trace', type=Path, help='the log of QEMU')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='write this file, in the format of its suffix, '
                        '.svg or .png (default: the name of the trace, with '
                        'suffix .svg)')
    parser.add_argument('--rate', choices=('conversions', 'pages'),
                        default='conversions',
                        help='count conversions that succeeded, or the 4 KiB '
                        'pages that they changed (%(default)s)')
    parser.add_argument('--seconds', type=period, metavar='FROM-TO',
                        help='draw only this time, in seconds after the first '
                        'event of the trace (default: the whole trace)')
    options = parser.parse_args()
    output = options.output or options.trace.with_suffix('.svg')
    if output.suffix not in SUFFIXES:
        raise Failure(f'{output}: the name must end in '
                      f'{" or ".join(SUFFIXES)}')
    history = read(options.trace.read_text(errors='replace'))
    if options.seconds:
        history = history.between(*options.seconds)
    packages.install()
    # Not before it is installed
    from ..trace import plot
    step(f'Draw {output}', lambda _: plot.draw(
        history, output, options.trace.name, options.rate))
    return 0
