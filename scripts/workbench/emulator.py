# SPDX-License-Identifier: GPL-2.0-or-later
"""
An emulated machine with KVM and private memory, on this machine's own files.

The distribution's QEMU emulates a CPU with AMD's nested virtualisation and
boots the project's kernel on the machine's root file system; see
guest-init for its first process.
"""

import os
import selectors
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from .kernel import bzimage
from .steps import Failure

EMULATOR = '/usr/bin/qemu-system-x86_64'
INIT = Path(__file__).with_name('guest-init')
PORTS = ('stdin', 'stdout', 'stderr', 'status')
TIMED_OUT = 124         # as timeout(1)
IOMMU_DEVICE = '0000:00:10.0'
LINES_ON_FAILURE = 20


@dataclass
class Machine:
    """What the emulated machine has."""
    share: Path                         # the directory that is writable
    memory: str = '4G'
    cpus: int = 2                       # that run the command
    iommu: bool = False                 # with an edu device behind it
    kernel: str = 'lts'                 # one of sources.KERNELS
    append: list[str] = field(default_factory=list)     # kernel parameters

    @cached_property
    def image(self) -> Path:
        """The kernel's image, built if need be."""
        return bzimage(self.kernel)

    def arguments(self, run: Path, sockets: dict[str, int]) -> list[str]:
        def export(path: str | Path, tag: str, *options: str) -> str:
            escaped = str(path).replace(',', ',,')
            return ','.join(['local', f'path={escaped}', f'mount_tag={tag}',
                             'security_model=none', 'multidevs=remap',
                             *options])

        parameters = [
            'console=ttyS0', 'panic=-1', 'quiet', 'rootfstype=9p', 'root=root',
            'rootflags=trans=virtio,version=9p2000.L,cache=loose,msize=512000',
            'ro', f'init={INIT}', 'kvm.sw_protected_intent=1',
            f'with_kvm_share={self.share}', f'with_kvm_run={run}',
            *self.append]
        result = [
            EMULATOR, '-no-user-config', '-nodefaults', '-no-reboot',
            '-display', 'none', '-accel', 'tcg,thread=multi',
            '-cpu', 'EPYC,+svm,+npt', '-m', self.memory,
            # guest-init keeps the command off the first one
            '-smp', str(self.cpus + 1), '-kernel', str(self.image),
            '-serial', f'file:{run}/console.log',
            # First of the virtio devices, so that its ports are vport0pN
            '-device', 'virtio-serial-pci',
            '-virtfs', export('/', 'root', 'readonly=on'),
            '-virtfs', export(self.share, 'share')]
        for number, port in enumerate(PORTS, start=1):
            result += ['-chardev', f'socket,id={port},fd={sockets[port]}',
                       '-device', f'virtserialport,chardev={port},nr={number}']
        if self.iommu:
            result += ['-M', 'q35,kernel-irqchip=split',
                       '-device', 'intel-iommu,intremap=on',
                       '-device', 'edu,addr=10.0']
            parameters += ['intel_iommu=on',
                           'vfio_iommu_type1.allow_unsafe_interrupts=1']
        else:
            result += ['-M', 'q35']
        return [*result, '-append', ' '.join(parameters)]


BIND_EDU = f'''
echo vfio-pci >/sys/bus/pci/devices/{IOMMU_DEVICE}/driver_override
echo {IOMMU_DEVICE} >/sys/bus/pci/drivers_probe
export WITH_KVM_DEVICE={IOMMU_DEVICE}
'''


def command_script(command: Sequence[str], machine: Machine) -> str:
    """A shell script that runs `command` as it would run here."""
    lines = [f'export {name}={shlex.quote(value)}'
             for name, value in os.environ.items() if name.isidentifier()]
    lines.append(f'export WITH_KVM_KERNEL={shlex.quote(str(machine.image))}')
    if machine.iommu:
        lines.append(BIND_EDU)
    lines += [f'cd {shlex.quote(os.getcwd())} || exit 1',
              f'exec {shlex.join(command)}', '']
    return '\n'.join(lines)


class Relay:
    """Moves bytes between this process's streams and the machine's ports."""

    def __init__(self, sockets: dict[str, socket.socket]) -> None:
        self.sockets = sockets
        self.status = b''
        self.selector = selectors.DefaultSelector()
        for port in ('stdout', 'stderr', 'status'):
            self.selector.register(sockets[port], selectors.EVENT_READ, port)
        try:
            self.selector.register(sys.stdin, selectors.EVENT_READ, 'stdin')
        except (ValueError, PermissionError):
            # Closed, or a file or /dev/null, which have nothing to wait for
            self._send_file()

    def _send_file(self) -> None:
        """Standard input that is a file: the port takes it as it can."""
        try:
            data = sys.stdin.buffer.read()
        except (AttributeError, ValueError):
            data = b''
        pid = os.fork()
        if pid == 0:
            try:
                self.sockets['stdin'].sendall(data)
                self.sockets['stdin'].shutdown(socket.SHUT_WR)
            finally:
                os._exit(0)
        self.sockets['stdin'].close()

    def step(self, limit: float | None) -> bool:
        """Wait for something to move; False when the status has come."""
        for key, _ in self.selector.select(limit):
            if key.data == 'stdin':
                data = os.read(sys.stdin.fileno(), 65536)
                if data:
                    self.sockets['stdin'].sendall(data)
                else:
                    self.selector.unregister(sys.stdin)
                    self.sockets['stdin'].shutdown(socket.SHUT_WR)
                continue
            data = self.sockets[key.data].recv(65536)
            if not data:
                self.selector.unregister(key.fileobj)
                if key.data == 'status':
                    return False
            elif key.data == 'status':
                self.status += data
            else:
                self._print(key.data, data)
        return not self.status.endswith(b'\n')

    def drain(self) -> None:
        """Print what had been written when the status came."""
        for port in ('stdout', 'stderr'):
            self.sockets[port].setblocking(False)
            try:
                while data := self.sockets[port].recv(65536):
                    self._print(port, data)
            except BlockingIOError:
                pass

    def _print(self, port: str, data: bytes) -> None:
        stream = getattr(sys, port).buffer
        stream.write(data)
        stream.flush()


def run(machine: Machine, command: Sequence[str],
        limit: float | None = None) -> int:
    """
    Run `command` on a KVM with private memory; its output is streamed.

    Returns its exit status, TIMED_OUT if it took more than `limit` seconds.
    """
    runs = machine.share / 'with-kvm'
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as directory:
        script = Path(directory) / 'command'
        script.write_text(command_script(command, machine))
        ours, theirs = {}, {}
        for port in PORTS:
            ours[port], theirs[port] = socket.socketpair()
        arguments = machine.arguments(Path(directory), {
            port: end.fileno() for port, end in theirs.items()})
        with (Path(directory) / 'emulator.log').open('wb') as log, \
            subprocess.Popen(arguments, stdin=subprocess.DEVNULL,
                              start_new_session=True, stderr=log,
                              pass_fds=[end.fileno() for end in
                                        theirs.values()]) as emulator:
            for end in theirs.values():
                end.close()
            try:
                signal.signal(signal.SIGTERM, _end)
                signal.signal(signal.SIGHUP, _end)
                return _wait(Relay(ours), limit, Path(directory))
            finally:
                emulator.kill()


def _end(number: int, _frame: object) -> None:
    """Signals that end this process end the emulated machine too."""
    sys.exit(128 + number)


def _wait(relay: Relay, limit: float | None, directory: Path) -> int:
    deadline = None if limit is None else time.monotonic() + limit
    while relay.step(deadline and max(deadline - time.monotonic(), 0)):
        if deadline and time.monotonic() >= deadline:
            print(f'with-kvm: stopped after {limit:g} s', file=sys.stderr)
            return TIMED_OUT
    relay.drain()
    if not relay.status:
        for name in ('emulator.log', 'console.log'):
            if (directory / name).exists():
                lines = (directory / name).read_text(errors='replace')
                print('\n'.join(lines.splitlines()[-LINES_ON_FAILURE:]),
                      file=sys.stderr)
        raise Failure('the emulated machine stopped before the command ended: '
                      'see the end of its console above')
    return int(relay.status)
