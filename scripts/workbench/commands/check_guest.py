# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run tests of guests on real KVM.

They are avocado tests, and run in one boot of the emulated machine.  QEMU, the
kernel and the test guests must be built already: scripts/build does that.  The
command prints one line for each test.  The logs of a test are in
avocado/KERNEL/ in the build directory.  A test that is cancelled is a failure,
unless tests/avocado/cancelled.txt says why.

Groups of tests, see tests/avocado/groups.txt:

guests  all tests except those of the documentation and of the nightly group
kernel  tests whose result depends on the kernel, and tests that the other
        kernel cannot run
docs    tests of the documentation

Exit status: 0 only if all tests pass.
"""

import os
import subprocess

from ..base.command import new_parser
from ..base.paths import REPO, build_dir
from ..base.steps import Failure
from ..build import libvirt_root
from ..build.guest_load import VARIABLE as LOAD, guest_load
from ..build.sources import KERNELS, debian_guest, ovmf_image
from ..guest.debian_guest import PACKAGES
from ..guest.groups import GROUPS, TESTS, left_out, select
from ..guest.vm_types import VM_TYPES
from ..machine.surroundings import inside, nightly

# The first one that knows the type of VM
LIBVIRT = {'sev-snp': 'debian-13', 'tdx': 'debian-14'}


def body() -> int:
    parser = new_parser(
        __doc__, example='scripts/check guest tests/avocado/isolation.py')
    parser.add_argument('--timeout', type=int, default=1500, metavar='S',
                        help='end the run after S seconds (%(default)s)')
    parser.add_argument('--jobs', type=int, default=3, metavar='N',
                        help='number of tests at the same time (%(default)s)')
    parser.add_argument('--kernel', choices=list(KERNELS), default='lts',
                        help="the Linux: Debian's long-term kernel, or the "
                        'newest kernel of its backports (%(default)s)')
    parser.add_argument('--group', choices=GROUPS,
                        help='run the tests of this group')
    parser.add_argument('test', nargs='*',
                        default=sorted(TESTS.glob('*.py')), metavar='TEST',
                        help='FILE, or FILE:Class, or FILE:Class.test '
                        '(default: all tests)')
    parser.add_argument('--snp', action='store_const', const='sev-snp',
                        dest='vm_type', default='',
                        help='have the test kernel offer SEV-SNP, and run the '
                        'tests of SEV-SNP VMs instead of all others')
    parser.add_argument('--snp-c-bit', action='store_const',
                        const='sev-snp-c-bit', dest='vm_type',
                        help='the same for SEV-SNP VMs whose C-bit the '
                        'emulated CPU knows')
    parser.add_argument('--tdx', action='store_const', const='tdx',
                        dest='vm_type',
                        help='the same for TDX VMs: needs --kernel new and '
                        '--base 10.2')
    parser.add_argument('--list', action='store_true',
                        help='run nothing, and print the names of the tests '
                        'that would be run, and not be cancelled')
    parser.add_argument('--avocado-run', action='store_true',
                        help="use avocado's own runner, which takes three "
                        'times as long')
    options = parser.parse_args()
    if not (build_dir() / 'tests' / 'guest').exists():
        raise Failure(f'{build_dir()} has no test guests: run scripts/build, '
                      'with the same --base')
    tests = options.test
    if options.group:
        all_of_them = options.group == 'kernel' and nightly()
        tests = [TESTS / test for test in
                 select('guests' if all_of_them else options.group,
                        options.kernel)]
    runner = ['/usr/bin/python3', '-m', 'workbench.guest.runner', '--kernel',
              options.kernel, '--jobs', str(options.jobs)]
    if options.avocado_run:
        runner.append('--avocado-run')
    if options.group == 'guests':
        for name in left_out(nightly()):
            runner += ['--except', name]
    if options.vm_type:
        runner += ['--vm-type', options.vm_type]
    if options.list:
        return subprocess.run(inside(*runner, '--list', *map(str, tests)),
                              check=False).returncode
    parameters = []
    if options.vm_type:
        parameters = ['--append', VM_TYPES[options.vm_type].kernel_parameter]
        os.environ['QMP_OVMF'] = str(ovmf_image())
        if VM_TYPES[options.vm_type].has_c_bit:
            os.environ[PACKAGES] = str(debian_guest())
            os.environ[LOAD] = str(guest_load())
        elif options.vm_type in LIBVIRT:
            os.environ[libvirt_root.VARIABLE] = \
                str(libvirt_root.libvirt_root(LIBVIRT[options.vm_type]))
    return subprocess.run(
        [REPO / 'scripts' / 'with-kvm', '--kernel', options.kernel, '--iommu',
         '--numa-nodes', '2',
         '--timeout', str(options.timeout),
         *parameters, '--',
         *inside(*runner, *map(str, tests))],
        stdin=subprocess.DEVNULL, check=False).returncode
