# SPDX-License-Identifier: GPL-2.0-or-later
"""
TDX guests, an unmodified -object tdx-guest, on the test kernel.

Its KVM has its own code for private memory, and something in place of the TDX
module (tests/kernel/new/soft-tdx.patch).
"""

import os
import socket
import struct
import threading

from qemu.qmp import ExecuteError

from workbench.guest.avocado import GuestTest
from workbench.guest.guest import PAYLOADS, Guest
from workbench.guest.vm_types import VM_TYPES

FATAL_ERROR = 0x420000      # as the payload reports it
HOLE = 40 << 30
SECTION = struct.Struct('<IIQQII')
PAGE = 4096


def private_allocated(guest: Guest) -> int:
    """Bytes of host memory that the guest's private memory takes."""
    return sum(block['private-allocated'] for block in
               guest.cmd('query-private-memory')['blocks'])


class Launch(GuestTest):

    vm_type = 'tdx'

    def refuses(self, *arguments: str, machine: str = '',
                image: bytes | None = None) -> str:
        """What QEMU says that does not start such a VM."""
        path = PAYLOADS / 'tdx.bin'
        if image is not None:
            path = self.directory / 'image'
            path.write_bytes(image)
        vm_type = VM_TYPES['tdx']
        return self.refusal(
            '-accel', 'kvm', *vm_type.arguments, '-m', '128M', '-machine',
            f'q35{vm_type.machine}{machine}', '-bios', str(path), *arguments)

    def with_first_section(self, offset: int, size: int,
                           address: int | None = None) -> bytes:
        """The image, of which something else is to be copied; in pages."""
        image = bytearray((PAYLOADS / 'tdx.bin').read_bytes())
        where = image.index(b'TDVF') + 16
        _, _, at, in_memory, *rest = SECTION.unpack_from(image, where)
        if address is not None:
            at, in_memory = address, size
        SECTION.pack_into(image, where, offset, size, at, in_memory, *rest)
        return bytes(image)

    def test_refused(self):
        """What a TD cannot have is named."""
        self.assertIn('SMM', self.refuses(machine=',smm=on'))
        self.assertIn('PIC', self.refuses(machine=',pic=on'))
        self.assertIn('split',
                      self.refuses(machine=',kernel-irqchip=on'))
        self.assertIn('Named cpu model', self.refuses('-cpu', 'EPYC'))
        self.assertRegex(self.refuses('-smp', '200'),
                         'exceeds the maximum cpus supported by KVM')

    def test_broken_image(self):
        """Nothing behind the image gets into the guest."""
        size = (PAYLOADS / 'tdx.bin').stat().st_size
        self.assertIn('exceeds the image', self.refuses(
            image=self.with_first_section(PAGE, size)))
        self.assertIn('exceeds the image', self.refuses(
            image=self.with_first_section(0xfffff000, PAGE)))
        self.assertIn('not page aligned', self.refuses(
            image=self.with_first_section(16, PAGE)))

    def test_ovmf(self):
        """Debian's firmware is launched, with all that its metadata name."""
        guest = self.guest('tdx', arguments=['-bios', os.environ['QMP_OVMF']])
        super(Guest, guest).launch()
        # It would need #VE where the test kernel has none
        self.assertEqual(guest.cmd('query-status')['status'], 'prelaunch')
        self.assertGreater(private_allocated(guest), 4 << 20)

    def test_no_memory(self):
        """Firmware is not put where no memory can be private."""
        self.assertIn('KVM_TDX_INIT_MEM_REGION failed', self.refuses(
            image=self.with_first_section(0, PAGE, address=0xfee00000)))


class State(GuestTest):

    vm_type = 'tdx'

    def test_fatal_error(self):
        """A guest that reports one has panicked."""
        guest = self.guest('tdx', parameters={'end': 'fatal'},
                           arguments=['-action', 'panic=pause'])
        guest.launch()
        event = guest.event_wait('GUEST_PANICKED', timeout=120)
        self.assertEqual(event['data']['info']['type'], 'tdx')
        self.assertEqual(event['data']['info']['error-code'], FATAL_ERROR)
        self.assertEqual(event['data']['info']['gpa'], HOLE)
        self.assertIsNotNone(guest.event_wait('STOP', timeout=60))
        self.assertEqual(guest.cmd('query-status')['status'],
                         'guest-panicked')
        self.assertIsNone(guest.event_wait('STOP', timeout=0))

    def test_not_accepted(self):
        """With the default, access to what is not accepted ends the VM."""
        guest = self.guest('tdx', vm_properties=',sept-ve-disable=on')
        guest.launch()
        self.assertIsNotNone(guest.event_wait('STOP', timeout=120))
        self.assertEqual(guest.cmd('query-status')['status'],
                         'internal-error')

    def test_asked_for_all(self):
        """Nobody waits until all of it is in memory."""
        guest = self.guest('tdx', parameters={'whole': 1})
        guest.launch()
        guest.wait_for_line('# step asked')
        self.assertLess(private_allocated(guest), 64 << 20)
        guest.send('\n')
        self.check_report(guest.finish())

    def test_cpu_plugged(self):
        """A CPU more is refused, and the guest runs on."""
        guest = self.guest('halves', parameters={
            'base': 64 << 20, 'size': 4 << 20},
            arguments=['-smp', '1,maxcpus=2'])
        guest.launch()
        guest.wait_for_line('# step start')
        slot, = [cpu for cpu in guest.cmd('query-hotpluggable-cpus')
                 if 'qom-path' not in cpu]
        with self.assertRaisesRegex(ExecuteError, 'CPUs cannot be added'):
            guest.cmd('device_add', id='cpu1', driver=slot['type'],
                      **slot['props'])
        self.assertEqual(guest.cmd('query-status')['status'], 'running')


class Quotes(GuestTest):
    """What comes of them: nobody here makes real ones."""

    vm_type = 'tdx'

    def check(self, quotes: str) -> None:
        guest = self.guest('tdx', parameters={'quotes': quotes})
        super(Guest, guest).launch()
        guest.cmd('qom-set', path='/objects/cgs0',
                  property='quote-generation-socket',
                  value={'type': 'unix', 'path': f'{self.directory}/quotes'})
        guest.cmd('cont')
        self.check_report(guest.finish())

    def test_unavailable(self):
        """The guest is told, as often as it asks."""
        self.check('unavailable')

    def test_served(self):
        """A service answers each report, and the guest gets that."""
        header = struct.Struct('<HHIII')
        sizes = struct.Struct('<II')

        def serve(connection: socket.socket) -> None:
            with connection, connection.makefile('rb') as request:
                size, = struct.unpack('>I', request.read(4))
                message = request.read(size)
                major, minor, _, _, _ = header.unpack_from(message)
                report = message[header.size + sizes.size:]
                answer = header.pack(
                    major, minor, 1, header.size + sizes.size + len(report), 0
                ) + sizes.pack(0, len(report)) + \
                    bytes(byte ^ 0xff for byte in report)
                connection.sendall(struct.pack('>I', len(answer)) + answer)

        def serve_all() -> None:
            while True:
                try:
                    serve(service.accept()[0])
                except OSError:
                    return
        with socket.socket(socket.AF_UNIX) as service:
            service.bind(str(self.directory / 'quotes'))
            service.listen()
            threading.Thread(target=serve_all, daemon=True).start()
            self.check('served')
