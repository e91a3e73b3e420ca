# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with private memory, running one of the payloads of tests/guest."""

import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qemu.machine import QEMUMachine
from qemu.qmp import QMPError

from .paths import build_dir
from .trace import TRACE_EVENTS

# Another one shows how a test fails without the series
BINARY = Path(os.environ.get('QMP_QEMU_BINARY') or
              build_dir() / 'bin' / 'qemu-system-x86_64')
PAYLOADS = build_dir() / 'tests' / 'guest'
EXIT_PORT = 'isa-debug-exit,iobase=0xf4,iosize=4'
PASSED = 1              # isa-debug-exit turns the payload's 0 into this

# Of the test kernel only: a guest may say which kind of access it means
INTENT = Path('/sys/module/kvm/parameters/sw_protected_intent')


def has_intent() -> bool:
    """Whether implicit conversions can be provoked on this KVM."""
    return INTENT.exists() and INTENT.read_text().strip() == 'Y'


def assigned_device(address: str, container: str) -> list[str]:
    """QEMU's arguments for a device of the host in a container, type1 or
    iommufd."""
    if container == 'iommufd':
        return ['-object', 'iommufd,id=iommufd0',
                '-device', f'vfio-pci,host={address},iommufd=iommufd0']
    return ['-device', f'vfio-pci,host={address}']


@dataclass(frozen=True)
class Report:
    """What a payload printed, in the Test Anything Protocol."""
    text: str

    def failures(self) -> list[str]:
        """Lines that say so, and what makes the report itself wrong."""
        lines = self.text.splitlines()
        found = [line for line in lines if line.startswith('not ok')]
        plans = [int(line[3:]) for line in lines
                 if re.fullmatch(r'1\.\.\d+', line)]
        tests = [int(number) for number in
                 re.findall(r'^(?:not )?ok (\d+)', self.text, flags=re.M)]
        if len(plans) != 1:
            found.append(f'{len(plans)} plans in the report')
        elif tests != list(range(1, plans[0] + 1)):
            found.append(f'plan 1..{plans[0]}, but tests {tests}')
        return found

    def boots(self) -> list['Report']:
        """One report for each start of a payload that goes through resets."""
        return [Report(text) for text in
                re.split(r'^# boot \d+\n', self.text, flags=re.M)[1:]]

    def skipped(self) -> str | None:
        """Why all of it was skipped, if it was."""
        match = re.search(r'^1\.\.0 # SKIP (.*)', self.text, flags=re.M)
        return match[1] if match else None


class Guest(QEMUMachine):
    """
    A software-protected VM on KVM that runs a payload.

    Its serial console is `self.serial()`, its trace `self.trace()`.  A reset
    ends it, unless `reboot`.  `arguments` are further ones for QEMU, `wrapper`
    is a command that runs it.
    """

    def __init__(self, payload: str, *, directory: Path, memory: str = '256M',
                 cpus: int = 1, machine: str = 'q35',
                 parameters: dict[str, object] | None = None,
                 protected: bool = True, reboot: bool = False,
                 trace: bool = True, arguments: Sequence[str] = (),
                 wrapper: Sequence[str] = ()) -> None:
        super().__init__(str(BINARY), wrapper=wrapper, name=f'guest-{payload}',
                         base_temp_dir=str(directory),
                         log_dir=str(directory))
        self.trace_file = directory / f'{self._name}.trace'
        self.serial_file = directory / f'{self._name}.serial'
        self.input_file = directory / f'{self._name}.input'
        for file in (self.trace_file, self.serial_file, self.input_file):
            file.unlink(missing_ok=True)
        os.mkfifo(self.input_file)
        # For reading too: neither this nor QEMU's end waits for the other
        self._input = os.open(self.input_file, os.O_RDWR)
        if protected:
            machine += ',confidential-guest-support=cgs0'
            self.add_args('-object', 'sw-protected-vm,id=cgs0')
        self.set_machine(machine)
        self.add_args('-nodefaults', '-S', '-accel', 'kvm', '-m', memory,
                      '-smp', str(cpus), '-device', EXIT_PORT,
                      '-bios', str(PAYLOADS / f'{payload}.bin'),
                      '-chardev', f'file,id=serial,path={self.serial_file},'
                      f'input-path={self.input_file}',
                      '-serial', 'chardev:serial',
                      '-msg', 'timestamp=on', '-D', str(self.trace_file))
        if not reboot:
            self.add_args('-no-reboot')
        # A line for each conversion takes longer than the conversion
        for event in TRACE_EVENTS if trace else ():
            self.add_args('-trace', event)
        for name, value in (parameters or {}).items():
            self.add_args('-fw_cfg',
                          f'name=opt/guest/{name},string={value}')
        self.add_args(*arguments)

    def launch(self) -> None:
        """Start QEMU and, once its monitor is there, the payload."""
        super().launch()
        try:
            self.cmd('cont')
        except QMPError:
            # A payload may end QEMU before the answer comes
            if self.is_running():
                raise

    def serial(self) -> str:
        """What the payload has printed so far."""
        if not self.serial_file.exists():
            return ''
        return self.serial_file.read_text(errors='replace').replace('\r', '')

    def send(self, text: str) -> None:
        """Type on the payload's console."""
        os.write(self._input, text.encode())

    def trace(self) -> str:
        return self.trace_file.read_text()

    def _wait(self, condition: Callable[[], bool], limit: float,
              what: str) -> None:
        """
        Wait until a condition is true.

        Raises RuntimeError if the VM stops instead, and TimeoutError.
        """
        deadline = time.monotonic() + limit
        while not condition():
            if self.event_wait('STOP', timeout=0):
                status = self.cmd('query-status')['status']
                raise RuntimeError(f'VM stopped ({status}) before {what}: '
                                   f'{self.serial()}')
            if time.monotonic() > deadline:
                raise TimeoutError(f'not in {limit} s: {what}: '
                                   f'{self.serial()}')
            time.sleep(0.05)

    def wait_for_line(self, pattern: str, after: int = 0,
                      limit: float = 60) -> re.Match[str]:
        """
        Wait until the payload has printed a line that matches.

        `after` is where in the output to begin.  Raises TimeoutError, or
        RuntimeError if QEMU ends or the VM stops before.
        """
        line = re.compile(pattern + r'\n', re.M)

        def ended_or_there() -> bool:
            nonlocal match
            running = self.is_running()
            match = line.search(self.serial(), after)
            return bool(match) or not running

        match: re.Match[str] | None = None
        self._wait(ended_or_there, limit, f'{pattern!r}')
        if not match:
            self.wait()
            raise RuntimeError(f'QEMU ended ({self.exitcode()}) before '
                               f'{pattern!r}: {self.get_log()}'
                               f'{self.serial()}')
        return match

    def finish(self, limit: float = 120) -> Report:
        """
        Wait until the payload ends QEMU; returns what it reported.

        Raises TimeoutError, or RuntimeError if the VM stops instead.
        """
        self._wait(lambda: not self.is_running(), limit, 'its end')
        self.wait()
        return Report(self.serial())

    def host_memory(self) -> Iterator[bytes]:
        """All that is mapped in QEMU and as large as the guest's RAM, or
        larger: what anyone on the host could find."""
        smallest = self.cmd('query-memory-size-summary')['base-memory']
        process = Path(f'/proc/{self.get_pid()}')
        with (process / 'mem').open('rb', buffering=0) as memory:
            for line in (process / 'maps').read_text().splitlines():
                start, end = (int(text, 16) for text in
                              line.split()[0].split('-'))
                if end - start >= smallest and ' rw' in line:
                    memory.seek(start)
                    yield memory.read(end - start)

    def physical_memory(self, start: int, size: int) -> bytes:
        """Guest-physical memory by QMP pmemsave; QMPError if any of it is
        private."""
        path = Path(self.temp_dir) / 'pmemsave'
        self.cmd('pmemsave', val=start, size=size, filename=str(path))
        return path.read_bytes()
