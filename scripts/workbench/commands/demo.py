# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run a guest with private memory on real KVM, and look for its secrets.

The guest writes secrets to pages and converts the pages to private and back,
explicitly by hypercall and implicitly by an access.  At each step the host
looks for the secret in the guest's memory.  At the end the command draws the
conversions in build/logs/demo.svg.

The command installs and builds all it needs: packages, sources, kernel, QEMU.

Exit status: 0 only if the host saw the secrets in shared pages and not in
private pages, and each kind of exit occurred.
"""

import os
import subprocess

from ..base import bases
from ..base.command import new_parser
from ..base.paths import REPO, build_dir
from ..base.steps import Failure
from ..build.meson import build
from ..machine import kvm
from ..machine.surroundings import inside

LIMIT = 120     # seconds


def body() -> int:
    parser = new_parser(__doc__, example='scripts/demo --emulate')
    parser.add_argument('--emulate', action='store_true',
                        help="use the emulated machine even if this machine's "
                        'own KVM has private memory')
    parser.add_argument('--type', choices=('sw-protected', 'sev-snp', 'tdx'),
                        default='sw-protected',
                        help='type of the VM; sev-snp and tdx always use the '
                        'emulated machine, whose kernel stands in for the CPU; '
                        'tdx needs --base 10.2 (%(default)s)')
    options = parser.parse_args()
    tdx = options.type == 'tdx'
    if tdx and bases.current() == bases.FIRST:
        raise Failure(f'QEMU {bases.FIRST.version} has no TDX: add --base 10.2')
    kernel = 'new' if tdx else 'lts'
    build('qemu-version', f'bzImage-{kernel}', 'tests/guest/isolation.bin')
    version = (build_dir() / 'qemu-version').read_text().strip()
    print(f'Run a guest of type {options.type} in QEMU {version} with the '
          'series:')
    command = [REPO / 'scripts' / 'with-kvm', '--timeout', str(LIMIT)]
    if options.emulate:
        command.append('--emulate')
    if tdx:
        command += ['--kernel', kernel, '--append', kvm.SOFT_TDX]
    if options.type == 'sev-snp':
        command += ['--append', kvm.SOFT_SNP_C_BIT]
    status = subprocess.run(
        [*command, '--', *inside('python3', '-m', 'workbench.guest.demo',
                                 '--type', options.type)],
        check=False).returncode
    if status:
        return status
    trace = os.path.relpath(build_dir() / 'logs' / 'demo.trace')
    return subprocess.run([REPO / 'scripts' / 'trace', 'plot', trace],
                          check=False).returncode
