# SPDX-License-Identifier: GPL-2.0-or-later
"""
An emulated machine with KVM and private memory, on this machine's own files.

A QEMU of the workbench's own emulates a CPU with AMD's nested virtualisation;
or the distribution's uses this machine's KVM if that nests.  It boots the
project's kernel on the machine's root file system; see guest-init for its first
process.
"""

import os
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import termios
import time
import tty
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from ..base.paths import REPO, cache_dir
from ..base.steps import Failure
from ..build import emulator_build
from ..build.kernel import bzimage
from . import kvm, nested

INIT = Path(__file__).with_name('guest-init')
PORTS = ('stdin', 'stdout', 'stderr', 'status')
TIMED_OUT = 124         # as timeout(1)
IOMMU_DEVICE = '0000:00:10.0'
LINES_ON_FAILURE = 20
END_KEY = b'\x1d'       # Ctrl-], as of telnet

# Also if this process is killed and so cannot end it
ENDS_WITH_US = ('/usr/bin/setpriv', '--pdeathsig', 'KILL')

# Where guest-init mounts something, and so hides what was there
HIDDEN = ('/dev', '/run', '/tmp', '/var/tmp')

# What the command's environment takes over from here; no secrets of the user's
ENVIRONMENT = {
    'HOME', 'LANG', 'LANGUAGE', 'LOGNAME', 'PATH', 'PYTHONDONTWRITEBYTECODE',
    'PYTHONPATH', 'SHELL', 'TERM', 'TZ', 'USER', 'XDG_CACHE_HOME'}
ENVIRONMENT_PREFIXES = ('LC_', 'QMP_', 'WITH_KVM_')


@dataclass
class Machine:
    """What the emulated machine has."""
    share: Path                         # the directory that is writable
    memory: str = '4G'
    cpus: int = 2                       # that run the command
    nodes: int = 1                      # of NUMA
    iommu: bool = False                 # with an edu device behind it
    kernel: str = 'lts'                 # one of sources.KERNELS
    append: list[str] = field(default_factory=list)     # kernel parameters
    terminal: bool = False              # the command has one
    count: bool = False                 # its clock counts instructions

    @cached_property
    def image(self) -> Path:
        """The kernel's image, built if need be."""
        return bzimage(self.kernel)

    @property
    def spares_first_cpu(self) -> bool:
        """Whether no guest may run on its first CPU, see guest-init."""
        return not self.nested and emulator_build.is_other()

    @property
    def has_c_bit(self) -> bool:
        """Whether its CPU has to be the emulated one, with a C-bit."""
        return kvm.SOFT_SNP_C_BIT in self.append

    @property
    def nested(self) -> bool:
        """Whether its CPU is this machine's own, by KVM."""
        return not (self.has_c_bit or self.count) and nested.usable()

    @property
    def program(self) -> str:
        """What runs it, built if need be."""
        return nested.EMULATOR if self.nested else emulator_build.binary()

    def processor(self) -> list[str]:
        """This machine's own CPU if KVM can give it, or an emulated one."""
        if self.nested:
            return ['-accel', 'kvm', '-cpu', 'host']
        cpu = 'EPYC,+svm,+npt' if emulator_build.is_other() else \
            emulator_build.C_BIT_CPU if self.has_c_bit else \
            emulator_build.CPU
        if kvm.SOFT_TDX in self.append:
            # The bit of an address that says shared is bit 47
            cpu += ',phys-bits=48'
        if self.count:
            # An instruction takes a nanosecond, whatever else runs here
            return ['-accel', 'tcg,thread=single', '-icount',
                    'shift=0,sleep=off', '-cpu', cpu]
        return ['-accel', 'tcg,thread=multi', '-cpu', cpu]

    def numa(self) -> list[str]:
        """CPUs, and nodes that have a part of them and of the memory each."""
        cpus = self.cpus + self.spares_first_cpu
        if self.nodes == 1:
            return ['-smp', str(cpus)]
        kib = int(self.memory[:-1]) << {'M': 10, 'G': 20}[self.memory[-1]]
        result = ['-smp', f'{cpus},sockets={cpus}']
        for node in range(self.nodes):
            result += ['-object', f'memory-backend-ram,id=node{node},'
                       f'size={kib // self.nodes}K',
                       '-numa', f'node,nodeid={node},memdev=node{node}']
        for cpu in range(cpus):
            node = cpu * self.nodes // cpus
            result += ['-numa', f'cpu,node-id={node},socket-id={cpu}']
        return result

    def arguments(self, run: Path, init: Path,
                  sockets: dict[str, int]) -> list[str]:
        def export(path: str | Path, tag: str, *options: str) -> str:
            escaped = str(path).replace(',', ',,')
            return ','.join(['local', f'path={escaped}', f'mount_tag={tag}',
                             'security_model=none', 'multidevs=remap',
                             *options])

        parameters = [
            'console=ttyS0', 'panic=-1', 'quiet', 'rootfstype=9p', 'root=root',
            'rootflags=trans=virtio,version=9p2000.L,cache=loose,msize=512000',
            'ro', f'init={init}', 'kvm.sw_protected_intent=1', 'with_kvm=1',
            *self.append]
        result = [
            self.program, '-no-user-config', '-nodefaults', '-no-reboot',
            '-display', 'none', *self.processor(), '-m', self.memory,
            *self.numa(),
            '-kernel', str(self.image),
            '-serial', f'file:{run}/console.log',
            # First of the virtio devices, so that its ports are vport0pN
            '-device', 'virtio-serial-pci',
            '-virtfs', export('/', 'root', 'readonly=on'),
            '-virtfs', export(self.share, 'share')]
        if self.terminal:
            # Before the ports, so that it is there when they are
            result += ['-chardev', f'socket,id=tty,fd={sockets["tty"]}',
                       '-device', 'virtconsole,chardev=tty,nr=5']
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


def environment() -> dict[str, str]:
    """What of this process's environment the command gets."""
    return {name: value for name, value in os.environ.items()
            if name in ENVIRONMENT or
            name.startswith(ENVIRONMENT_PREFIXES) and name.isidentifier()}


def command_script(command: Sequence[str], machine: Machine) -> str:
    """A shell script that runs `command` as it would run here."""
    lines = [f'export {name}={shlex.quote(value)}'
             for name, value in environment().items()]
    lines.append(f'export WITH_KVM_KERNEL={shlex.quote(str(machine.image))}')
    if machine.iommu:
        lines.append(BIND_EDU)
    if machine.terminal:
        size = os.get_terminal_size()
        lines.append(f'stty rows {size.lines} columns {size.columns}')
    lines += [f'cd {shlex.quote(os.getcwd())} || exit 1',
              f'exec {shlex.join(command)}', '']
    return '\n'.join(lines)


def kept() -> list[Path]:
    """Directories that are needed and would be hidden."""
    found: list[Path] = []
    for path in sorted({REPO, cache_dir().resolve(), Path.cwd()}):
        if any(path.is_relative_to(where) and str(path) != where
               for where in HIDDEN) and \
                not any(path.is_relative_to(other) for other in found):
            found.append(path)
    return found


def settings(machine: Machine, run: Path) -> str:
    """What guest-init has to know, as a shell script that it reads: a kernel
    parameter could not have spaces in it."""
    return '\n'.join([
        f'share={shlex.quote(str(machine.share))}',
        f'run={shlex.quote(str(run))}',
        f'terminal={"yes" if machine.terminal else ""}',
        f'cpus={f"1-{machine.cpus}" if machine.spares_first_cpu else ""}',
        'for_each_kept() {', '    :',
        *(f'    "$@" {shlex.quote(str(path))}' for path in kept()), '}', ''])


@contextmanager
def init_files(machine: Machine, run: Path) -> Iterator[Path]:
    """The first program and its settings, where the kernel finds them: their
    own directory may be hidden, or have a name that is no kernel parameter."""
    with tempfile.TemporaryDirectory(prefix='with-kvm-', dir='/tmp') as place:
        init = Path(place) / INIT.name
        shutil.copy(INIT, init)
        init.with_name('settings').write_text(settings(machine, run))
        yield init


@contextmanager
def raw_terminal() -> Iterator[None]:
    """Keys go to the machine as they are."""
    before = termios.tcgetattr(sys.stdin)
    try:
        tty.setraw(sys.stdin)
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


class Relay:
    """Moves bytes between this process's streams and the machine's ports."""

    def __init__(self, sockets: dict[str, socket.socket]) -> None:
        self.sockets = sockets
        self.status = b''
        self.selector = selectors.DefaultSelector()
        self.input = 'tty' if 'tty' in sockets else 'stdin'
        self.outputs = ['stdout', 'stderr', *sockets.keys() & {'tty'}]
        for port in (*self.outputs, 'status'):
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
                if self.input == 'tty' and END_KEY in data:
                    raise KeyboardInterrupt
                if data:
                    self.sockets[self.input].sendall(data)
                else:
                    self.selector.unregister(sys.stdin)
                    self.sockets[self.input].shutdown(socket.SHUT_WR)
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
        for port in self.outputs:
            self.sockets[port].setblocking(False)
            try:
                while data := self.sockets[port].recv(65536):
                    self._print(port, data)
            except BlockingIOError:
                pass

    def _print(self, port: str, data: bytes) -> None:
        stream = (sys.stderr if port == 'stderr' else sys.stdout).buffer
        stream.write(data)
        stream.flush()


def run(machine: Machine, command: Sequence[str],
        limit: float | None = None) -> int:
    """
    Run `command` on a KVM with private memory; its output is streamed.

    Returns its exit status, TIMED_OUT if it took more than `limit` seconds.
    """
    machine.terminal = os.isatty(0) and os.isatty(1)
    runs = machine.share / 'with-kvm'
    runs.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs) as directory, \
            init_files(machine, Path(directory)) as init:
        script = Path(directory) / 'command'
        script.write_text(command_script(command, machine))
        ours, theirs = {}, {}
        for port in (*PORTS, *(['tty'] if machine.terminal else [])):
            ours[port], theirs[port] = socket.socketpair()
        arguments = machine.arguments(Path(directory), init, {
            port: end.fileno() for port, end in theirs.items()})
        with (Path(directory) / 'emulator.log').open('wb') as log, \
            subprocess.Popen([*ENDS_WITH_US, *arguments],
                              stdin=subprocess.DEVNULL,
                              start_new_session=True, stderr=log,
                              pass_fds=[end.fileno() for end in
                                        theirs.values()]) as emulator:
            for end in theirs.values():
                end.close()
            try:
                signal.signal(signal.SIGTERM, _end)
                signal.signal(signal.SIGHUP, _end)
                with raw_terminal() if machine.terminal else nullcontext():
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
