# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build a kernel with KVM for scripts/with-kvm.

Exit status: 0 only if the kernel is built.
"""

import shutil
from pathlib import Path

from ..base.command import new_parser
from ..build import kernel
from ..build.sources import KERNELS


def body() -> int:
    parser = new_parser(__doc__, example='scripts/build kernel --kernel new '
                        '--output /tmp/bzImage')
    parser.add_argument('--kernel', choices=list(KERNELS), default='lts',
                        help="the Linux: Debian's long-term kernel, or the "
                        'newest kernel of its backports (%(default)s)')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='also write the kernel image to this file')
    options = parser.parse_args()
    image = kernel.bzimage(options.kernel)
    if options.output:
        shutil.copy(image, options.output)
    return 0
