# SPDX-License-Identifier: GPL-2.0-or-later
"""
libvirt's daemon, on the emulated machine of scripts/with-kvm.

As a program it starts the daemon and becomes the command that it is given.
"""

import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

from ..base.steps import Failure, main
from ..build import chroot
from ..build.libvirt_root import HOST, VARIABLE
from ..machine.surroundings import emulated
from .console import BINARY

EMULATOR = Path('/usr/bin/qemu-system-x86_64')
# Runs the former; libvirt would ask it too what it can do, which takes seconds
OTHER_EMULATOR = Path('/usr/bin/qemu-system-i386')
CONFIG = Path('/etc/libvirt/qemu.conf')
LOGS = Path('/var/log/libvirt/qemu')
PID_FILE = Path('/run/libvirtd.pid')
LOCK = Path('/run/libvirtd.lock')
CGROUPS = Path('/sys/fs/cgroup')
# What another libvirt shares with QEMU and with libvirt's clients
SHARED = (Path('/sys'), Path('/run'), Path('/tmp'), CONFIG.parent, LOGS.parent,
          Path('/var/cache/libvirt'), Path('/var/lib/libvirt'))
# Of Debian's package libvirt-daemon-system, which also brings services that
# tests should not leave on a machine.  libvirtd insists on it.
DEFAULT_USER = 'libvirt-qemu'
DEFAULT_ID = 64055      # as Debian's

# The emulated machine has a root user, no virtlogd and a minimal kernel
SETTINGS = '''\
user = "root"
group = "root"
stdio_handler = "file"
security_driver = "none"
namespaces = []
cgroup_controllers = []
'''


def set_up() -> None:
    """Make the machine one on which our package of QEMU is installed."""
    EMULATOR.unlink()
    EMULATOR.symlink_to(BINARY)
    OTHER_EMULATOR.unlink(missing_ok=True)
    # If there is a libvirt already, its domains are not ours to start
    subprocess.run(['mount', '-t', 'tmpfs', 'libvirt', CONFIG.parent],
                   check=True)
    CONFIG.write_text(SETTINGS)
    LOGS.mkdir(parents=True, exist_ok=True)
    add_user(Path('/etc'))


def daemon() -> list[str | Path]:
    """The command that is libvirt's daemon: this machine's own, or that of the
    root file system that the environment names."""
    command: list[str | Path] = ['libvirtd', '--daemon', '--pid-file', PID_FILE]
    if not os.environ.get(VARIABLE):
        return command
    for directory in SHARED:
        directory.mkdir(parents=True, exist_ok=True)
    root = Path(os.environ[VARIABLE])
    add_user(root / 'etc')
    return [*chroot.inside(root, command,
                           {Path('/'): HOST} |
                           {path: str(path) for path in SHARED})]


def add_user(etc: Path) -> None:
    """Have libvirt's user, in the overlay.  useradd would also change files
    that only root on the real machine can read."""
    for name, line in (('passwd', f'{DEFAULT_USER}:x:{DEFAULT_ID}:{DEFAULT_ID}'
                        '::/nonexistent:/usr/sbin/nologin\n'),
                       ('group', f'{DEFAULT_USER}:x:{DEFAULT_ID}:\n')):
        file = etc / name
        text = file.read_text()
        if not re.search(rf'^{DEFAULT_USER}:', text, flags=re.M):
            file.write_text(text.rstrip('\n') + '\n' + line)


def cpus_of_this() -> list[str]:
    """
    Put before a command, it can use the CPUs of this process only.

    libvirt lets its guests run on all CPUs, whatever its own affinity, and
    guest-init says why none must run on the first one.  A cpuset is a limit.
    """
    (CGROUPS / 'cgroup.subtree_control').write_text('+cpuset')
    group = CGROUPS / 'libvirt'
    group.mkdir()
    cpus = ','.join(map(str, os.sched_getaffinity(0)))
    (group / 'cpuset.cpus').write_text(cpus)
    return ['/bin/sh', '-c',
            f'echo $$ >{group}/cgroup.procs && exec "$0" "$@"']


def start() -> None:
    """Have the daemon run; all that call this use the same one."""
    if not emulated():
        raise Failure("this would change this machine's own libvirt: use "
                      'scripts/with-kvm --libvirt')
    with LOCK.open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if PID_FILE.exists():
            return
        set_up()
        # It returns when clients can connect
        subprocess.run([*cpus_of_this(), *daemon()], check=True)


def body() -> None:
    start()
    os.execvp(sys.argv[1], sys.argv[1:])


if __name__ == '__main__':
    main(body)
