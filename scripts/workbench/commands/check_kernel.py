# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run the kernel's own tests of private memory on the emulated machine.

They are built from the source of the kernel that runs, and show that KVM with
the patches of tests/kernel/ is what it was: as it starts by default, and when
it offers SEV-SNP, or TDX.

Exit status: 0 only if all pass.
"""

import re
import subprocess

from ..base.command import new_parser
from ..base.paths import REPO
from ..base.tables import table
from ..build.selftests import TESTS, selftests
from ..build.sources import KERNELS
from ..machine import kvm

PARAMETERS = {'lts': ('kvm_amd.soft_snp=0', kvm.SOFT_SNP),
              'new': ('kvm_amd.soft_snp=0', kvm.SOFT_SNP, kvm.SOFT_TDX)}
# Of kselftest, where a test cannot run
SKIPPED = 4
# Each test, and a line with its exit status
RUN = ('for test in {tests}; do "{directory}/$test" || status=$?; '
       'echo "== $test ${{status:-0}}"; status=; done')


def results(kernel: str, parameter: str) -> dict[str, int]:
    """The exit status of each test that ran to its end."""
    script = RUN.format(tests=' '.join(TESTS[kernel]),
                        directory=selftests(kernel))
    done = subprocess.run(
        [REPO / 'scripts' / 'with-kvm', '--kernel', kernel, '--append',
         parameter, '--', 'sh', '-c', script], check=False, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    print(done.stdout, end='')
    return {name: int(status) for name, status in
            re.findall(r'^== (\w+) (\d+)$', done.stdout, re.MULTILINE)}


def said(status: int | None) -> str:
    if status is None:
        return 'FAILED, did not end'
    return {0: 'passed', SKIPPED: 'FAILED, cannot run'}.get(
        status, f'FAILED with {status}')


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check kernel --kernel new')
    parser.add_argument('--kernel', choices=list(KERNELS), default='lts',
                        help="the Linux: Debian's long-term kernel, or the "
                        'newest kernel of its backports (%(default)s)')
    options = parser.parse_args()
    parameters = PARAMETERS[options.kernel]
    found = [results(options.kernel, one) for one in parameters]
    print(table([['test', *parameters],
                 *([test, *(said(one.get(test)) for one in found)]
                   for test in TESTS[options.kernel])]))
    return int(any(one.get(test) != 0 for one in found
                   for test in TESTS[options.kernel]))
