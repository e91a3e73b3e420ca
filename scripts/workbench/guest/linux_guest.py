# SPDX-License-Identifier: GPL-2.0-or-later
"""An ordinary VM that runs Linux, on its host's root file system."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..base.paths import REPO
from ..base.steps import Failure
from .console import ConsoleMachine

KERNEL = 'WITH_KVM_KERNEL'      # scripts/with-kvm says which one it runs
INIT = REPO / 'tests' / 'linux' / 'init'
# virtiofsd, and how it is asked to share all of the machine: a program of its
# own, or the one that came with QEMU before 8.0
DAEMONS = {
    Path('/usr/libexec/virtiofsd'): ('--shared-dir=/', '--sandbox=chroot',
                                     '--cache=always'),
    Path('/usr/lib/qemu/virtiofsd'): ('-o', 'source=/', '-o', 'sandbox=chroot',
                                      '-o', 'cache=always'),
}
BOOT_LIMIT = 120


def daemon(socket: Path) -> list[str | Path]:
    """The command that shares the machine's root file system."""
    for program, options in DAEMONS.items():
        if program.exists():
            return [program, f'--socket-path={socket}', *options]
    raise Failure('virtiofsd is not installed: run scripts/build prepare')


class LinuxGuest(ConsoleMachine):
    """
    The kernel of scripts/with-kvm once more, with a shell on its console.

    Its root file system comes from a daemon, which needs memory that can be
    shared: `arguments` have to provide it.
    """

    def __init__(self, name: str, directory: Path, cpus: int = 1,
                 machine: str = 'q35', arguments: Sequence[str] = (),
                 wrapper: Sequence[str] = ()) -> None:
        super().__init__(name, directory, wrapper)
        self._socket = directory / f'{name}.virtiofs'
        self._log = directory / f'{name}.virtiofsd'
        self._daemon: subprocess.Popen[bytes] | None = None
        self._commands = 0
        self.set_machine(machine)
        self.add_args(
            '-smp', str(cpus), '-kernel', os.environ[KERNEL],
            '-append', 'console=ttyS0 quiet panic=-1 root=host '
            f'rootfstype=virtiofs rw init="{INIT}" memhp_default_state=online_movable',
            '-chardev', f'socket,id=fs0,path={self._socket}',
            '-device', 'vhost-user-fs-pci,chardev=fs0,tag=host',
            '-no-reboot', *arguments)

    def launch(self) -> None:
        """Start the daemon and QEMU."""
        with self._log.open('wb') as log:
            self._daemon = subprocess.Popen(
                daemon(self._socket), stdin=subprocess.DEVNULL, stdout=log,
                stderr=log)
        super().launch()

    def wait_for_shell(self) -> None:
        self.wait_for_line('linux is up', limit=BOOT_LIMIT)

    def run(self, command: str, limit: float = 60) -> str:
        """
        Run a command in the guest's shell; its output.

        Raises Failure if the command fails, and what wait_for_line() does.
        """
        self._commands += 1
        end = f'command {self._commands}:'
        start = len(self.serial())
        self.send(f'{command}; echo "{end} $?"\n')
        status = self.wait_for_line(rf'{end} (\d+)', start, limit)
        output = self.serial()[start:status.start()]
        if status[1] != '0':
            raise Failure(f'{command!r} in the guest failed ({status[1]}): '
                          f'{output}')
        return output

    def stop(self) -> None:
        """End QEMU, if need be, and the daemon."""
        super().stop()
        if self._daemon:
            self._daemon.kill()
            self._daemon.wait()
