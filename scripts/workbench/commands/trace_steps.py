# SPDX-License-Identifier: GPL-2.0-or-later
"""
Turn a trace into a file of steps for a test.

"scripts/trace replay" runs these steps.  A trace is QEMU's log with
  -trace "kvm_memory_fault*" -trace kvm_hc_map_gpa_range
  -trace memory_convert_end -trace "guest_memfd_manager*"
  -msg timestamp=on -D FILE
from the start of the VM.

Exit status: 0 only if the trace could be turned into steps.
"""

import sys
from pathlib import Path

from ..base.command import new_parser
from ..trace.replay import from_trace


def body() -> int:
    parser = new_parser(__doc__, example='scripts/trace steps '
                        'build/logs/demo.trace --output demo.replay')
    parser.add_argument('trace', type=Path, help='the log of QEMU')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='write the steps to this file (default: standard '
                        'output)')
    parser.add_argument('--qemu', metavar='ARGUMENTS',
                        help='options of QEMU for the machine; needed if it '
                        'has several blocks of memory')
    options = parser.parse_args()
    text, run = from_trace(options.trace.read_text(errors='replace'),
                           options.qemu)
    if run.moved:
        print(f'the memory map changes after {len(run.steps)} steps, which '
              'cannot be replayed: later steps are left out', file=sys.stderr)
    if options.output:
        options.output.write_text(text)
    else:
        print(text, end='')
    return 0
