# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build the QEMU that scripts/with-kvm runs where KVM does not nest.

Exit status: 0 only if the program is built, or not needed.
"""

import shutil
from pathlib import Path

from ..base.command import new_parser
from ..base.paths import build_dir
from ..machine.emulator import Machine


def body() -> int:
    parser = new_parser(__doc__, example='scripts/build emulator '
                        '--output /tmp/qemu-system-x86_64')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='also write the program to this file')
    options = parser.parse_args()
    program = Machine(share=build_dir()).program
    if options.output:
        shutil.copy(program, options.output)
    return 0
