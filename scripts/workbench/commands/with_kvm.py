# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run a command on a KVM that has private memory.

If this machine's /dev/kvm has software-protected VMs, the command runs on this
machine.  Otherwise it runs on another machine with the project's kernel and
this machine's root file system: it has the same programs and the same working
directory.  Changes in the build directory are kept.  All other changes are lost
when that machine ends, and its /tmp is empty.  It is emulated, or uses this
machine's KVM if a guest can have KVM itself, which is tried first.  The first
time a QEMU is built that emulates it; set WITH_KVM_EMULATOR to the path of a
qemu-system-x86_64 to use that instead.

On a terminal the command has a terminal, and Ctrl-] ends the machine.

The command gets only those environment variables that programs need to run
(PATH, HOME, TERM, LANG, LC_*, QMP_* and the like), so that no secret is copied.
For others: -- env NAME=VALUE COMMAND...

With --libvirt the command always runs on the other machine.  libvirt's daemon
runs there, and as on a machine with the project's packages,
/usr/bin/qemu-system-x86_64 is the QEMU built here.  All domains are lost when
the command ends.  With --libvirt=debian-13 or =debian-14 the daemon is that of
that Debian.

Exit status: that of COMMAND, or 124 after the time limit.
"""

import os
import subprocess
import sys

from ..base.command import new_parser
from ..base.paths import build_dir
from ..build import libvirt_root, packages
from ..build.sources import KERNELS
from ..machine import kvm
from ..machine.emulator import TIMED_OUT, Machine, run
from ..machine.surroundings import emulated, inside

SW_PROTECTED_VM = 1
LIBVIRTS = ('machine', *libvirt_root.SUITES)


def machine_has_it() -> bool:
    """Whether this machine's own KVM offers software-protected VMs."""
    try:
        types = kvm.check_extension(kvm.CAP_VM_TYPES)
    except OSError:
        return False
    return bool(types & 1 << SW_PROTECTED_VM)


def body() -> int:
    parser = new_parser(
        __doc__, example='scripts/with-kvm --kernel new -- sh -i',
        usage='%(prog)s [options] -- COMMAND...')
    parser.add_argument('--timeout', type=float, metavar='S',
                        help='end the command after S seconds')
    parser.add_argument('--mem', default='4G', metavar='SIZE',
                        help='memory of the emulated machine (%(default)s)')
    parser.add_argument('--cpus', type=int, default=2, metavar='N',
                        help='CPUs of the emulated machine (%(default)s)')
    parser.add_argument('--numa-nodes', type=int, default=1, metavar='N',
                        help='NUMA nodes of the emulated machine, with a part '
                        'of its CPUs and memory each (%(default)s)')
    parser.add_argument('--iommu', action='store_true',
                        help='add an IOMMU, and an edu device that is bound to '
                        'vfio-pci; its address is in $WITH_KVM_DEVICE')
    parser.add_argument('--kernel', choices=list(KERNELS),
                        help="the Linux: Debian's long-term kernel, or the "
                        'newest kernel of its backports (lts)')
    parser.add_argument('--append', action='append', default=[],
                        metavar='PARAMETER', help='add a kernel parameter')
    parser.add_argument('--emulate', action='store_true',
                        help="always use the emulated machine")
    parser.add_argument('--count-instructions', action='store_true',
                        help="have the emulated machine's clock count "
                        'instructions, a nanosecond each: what is measured '
                        'there does not depend on other load')
    parser.add_argument('--libvirt', nargs='?', choices=LIBVIRTS,
                        const=LIBVIRTS[0],
                        help="start libvirt's daemon first: that of this "
                        "machine, or Debian 13's, which knows SEV-SNP, or "
                        "Debian 14's, which knows TDX (machine)")
    parser.add_argument('command', nargs='+', metavar='COMMAND')
    options = parser.parse_args()

    command = options.command
    if options.libvirt in libvirt_root.SUITES:
        os.environ[libvirt_root.VARIABLE] = \
            str(libvirt_root.libvirt_root(options.libvirt))
    if options.libvirt:
        command = inside('python3', '-m', 'workbench.guest.libvirt', *command)
        here = emulated()
    else:
        special = options.emulate or options.iommu or options.kernel or \
            options.append or options.count_instructions or \
            options.numa_nodes > 1
        here = not special and machine_has_it()
    if here:
        try:
            return subprocess.run(command, check=False,
                                  timeout=options.timeout).returncode
        except subprocess.TimeoutExpired:
            print(f'with-kvm: stopped after {options.timeout:g} s',
                  file=sys.stderr)
            return TIMED_OUT
    packages.install()
    os.makedirs(build_dir(), exist_ok=True)
    machine = Machine(share=build_dir(), memory=options.mem,
                      cpus=options.cpus, nodes=options.numa_nodes,
                      iommu=options.iommu,
                      kernel=options.kernel or 'lts', append=options.append,
                      count=options.count_instructions)
    return run(machine, command, options.timeout)
