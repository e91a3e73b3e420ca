# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest with private memory, running one of the payloads of tests/guest."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from qemu.qmp import ExecuteError, QMPError

from ..base.paths import build_dir
from ..machine import kvm
from ..trace.trace import TRACE_EVENTS
from .console import ConsoleMachine
from .vm_types import VM_TYPES

PAYLOADS = build_dir() / 'tests' / 'guest'
# What the payload "halves" goes through
HALVES_STEPS = ('start', 'first', 'shared', 'private', 'mixed', 'back')
EXIT_PORT = 'isa-debug-exit,iobase=0xf4,iosize=4'
ENDING = 60             # seconds, from when QEMU's monitor is gone
PASSED = 1              # isa-debug-exit turns the payload's 0 into this

MAPPED = 3              # GUEST_MEMFD_FLAG_MMAP and _INIT_SHARED

# Of the test kernel only: a guest may say which kind of access it means
INTENT = Path('/sys/module/kvm/parameters/sw_protected_intent')


def has_intent() -> bool:
    """Whether implicit conversions can be provoked on this KVM."""
    return INTENT.exists() and INTENT.read_text().strip() == 'Y'


def has_mapped_guest_memfd() -> bool:
    """Whether this KVM has memory for memory-backend-guest-memfd."""
    return kvm.check_extension(kvm.CAP_GUEST_MEMFD_FLAGS) & MAPPED == MAPPED


def assigned_device(address: str, container: str,
                    properties: str = '') -> list[str]:
    """QEMU's arguments for a device of the host in a container, type1 or
    iommufd; more properties begin with a comma."""
    device = f'vfio-pci,host={address}{properties}'
    if container == 'iommufd':
        return ['-object', 'iommufd,id=iommufd0',
                '-device', f'{device},iommufd=iommufd0']
    return ['-device', device]


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


class Guest(ConsoleMachine):
    """
    A VM on KVM that runs a payload.

    `vm_type` is one of VM_TYPES; `vm_properties` are further ones of its
    object, after a comma.  A reset ends it, unless `reboot`.
    `arguments` are further ones for QEMU, `wrapper` is a command that runs it.
    """

    def __init__(self, payload: str, *, directory: Path, memory: str = '256M',
                 cpus: int = 1, machine: str = 'q35',
                 parameters: dict[str, object] | None = None,
                 vm_type: str = 'sw-protected', vm_properties: str = '',
                 reboot: bool = False,
                 trace: bool = True, arguments: Sequence[str] = (),
                 wrapper: Sequence[str] = ()) -> None:
        super().__init__(payload, directory, wrapper)
        *vm, last = VM_TYPES[vm_type].arguments or ('',)
        if last:
            self.add_args(*vm, last + vm_properties)
        self.set_machine(machine + VM_TYPES[vm_type].machine)
        self.add_args('-S', '-m', memory, '-smp', str(cpus),
                      '-device', EXIT_PORT,
                      '-bios', str(PAYLOADS / f'{payload}.bin'))
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
        except ExecuteError:
            raise
        except QMPError:
            # A payload may end QEMU before the answer comes.  The monitor goes
            # first.
            self.wait_until(lambda: not self.is_running(), ENDING, 'its end')

    def finish(self, limit: float = 120) -> Report:
        """
        Wait until the payload ends QEMU; returns what it reported.

        Raises TimeoutError, or RuntimeError if the VM stops instead.
        """
        self.wait_until(lambda: not self.is_running(), limit, 'its end')
        self.wait()
        return Report(self.serial())

    def wait_for_look(self, limit: float = 60) -> tuple[int, int]:
        """Wait until the payload lets the host look at memory; returns address
        and size."""
        look = self.wait_for_line(
            r'# step look gpa=0x([0-9a-f]+) size=0x([0-9a-f]+)', limit=limit)
        return int(look[1], 16), int(look[2], 16)

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
