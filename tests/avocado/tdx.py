# SPDX-License-Identifier: GPL-2.0-or-later
"""
TDX guests, an unmodified -object tdx-guest, on the test kernel.

Its KVM has its own code for private memory, and something in place of the TDX
module (tests/kernel/new/soft-tdx.patch).
"""

import errno
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from qemu.qmp import ExecuteError

from workbench.guest.avocado import GuestTest
from workbench.guest.guest import PAYLOADS, Guest
from workbench.guest.protected import HOLE, ProtectedState
from workbench.guest.vm_types import VM_TYPES

FATAL_ERROR = 0x420000      # as the payload reports it
FOR_EVER = 1 << 30
SECTION = struct.Struct('<IIQQII')
PAGE = 4096


def private_allocated(guest: Guest) -> int:
    """Bytes of host memory that the guest's private memory takes."""
    return sum(block['private-allocated'] for block in
               guest.cmd('query-private-memory')['blocks'])


def refused_accesses(guest: Guest) -> int:
    """How often QEMU has tried to access what is private."""
    return sum(block['refused-accesses'] for block in
               guest.cmd('query-private-memory')['blocks'])


class TdxTest(GuestTest):

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


class Launch(TdxTest):

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
        self.assertIn("TDX doesn't support requested feature",
                      self.refuses('-cpu', 'host,enforce'))
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


class Answers(TdxTest):
    """What QEMU does when KVM says that a command has failed."""

    def answers(self, command: str, error: int, count: int = 1) -> None:
        """Have KVM fail this often; until the end of this process, which runs
        one test."""
        os.environ |= {'LD_PRELOAD': str(PAYLOADS / 'libkvm-answers.so'),
                       'KVM_ANSWERS': f'{command} {error} {count}'}

    def check_ends(self, command: str, error: int, *words: str,
                   count: int = 1) -> None:
        """QEMU says what has failed, and ends."""
        self.answers(command, error, count)
        said = self.refuses()
        for word in words:
            self.assertIn(word, said)

    def check_launched(self, command: str, error: int, count: int) -> None:
        """QEMU tries again, and the guest is as any other."""
        self.answers(command, error, count)
        self.passes(self.guest('convert', parameters={'how': 'explicit',
                                                      'size': '4K'}))

    def test_again(self):
        """What fails for a while."""
        self.check_launched('capabilities', errno.E2BIG, 3)
        self.check_launched('init-vm', errno.EAGAIN, 5)
        self.check_launched('get-cpuid', errno.E2BIG, 1)
        self.check_launched('init-mem-region', errno.EAGAIN, 5)
        self.check_launched('init-mem-region', errno.EINTR, 5)

    def test_too_often(self):
        """What fails for ever."""
        self.check_ends('capabilities', errno.E2BIG,
                        'number of CPUID entries', count=FOR_EVER)
        self.check_ends('init-vm', errno.EAGAIN, 'KVM_TDX_INIT_VM failed',
                        'lack of entropy', count=FOR_EVER)

    def test_failed(self):
        """What is not tried again."""
        for command in ('capabilities', 'init-vm', 'init-vcpu',
                        'init-mem-region', 'finalize-vm', 'get-cpuid'):
            name = command.replace('-', '_').upper()
            for error in errno.EBUSY, errno.EIO:
                self.check_ends(command, error, f'KVM_TDX_{name} failed',
                                os.strerror(error))

    def test_no_hypercalls(self):
        """Without them no guest can convert memory."""
        self.check_ends('exit-hypercall', errno.EINVAL,
                        'TDX VM requires KVM_CAP_EXIT_HYPERCALL')


class State(ProtectedState):

    vm_type = 'tdx'
    payload = 'tdx'
    not_saved = 'private half, which cannot be migrated'

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

    def test_unprintable(self):
        """A message of a guest that panics may be any bytes."""
        guest = self.guest('tdx', parameters={'end': 'unprintable'},
                           arguments=['-action', 'panic=pause', '-d',
                                      'guest_errors'])
        guest.launch()
        self.assertIsNotNone(guest.event_wait('GUEST_PANICKED', timeout=120))
        guest.cmd('quit')
        guest.wait()
        self.assertIn('error message:"80 80 80 80 80 80 80 80"',
                      guest.trace())

    def test_not_accepted(self):
        """With the default, access to what is not accepted ends the VM."""
        guest = self.guest('tdx', vm_properties=',sept-ve-disable=on')
        guest.launch()
        self.assertIsNotNone(guest.event_wait('STOP', timeout=120))
        self.assertEqual(guest.cmd('query-status')['status'],
                         'internal-error')

    def test_not_accepted_virtio(self):
        """A device that KVM knows of may stop along with it."""
        guest = self.guest('tdx', vm_properties=',sept-ve-disable=on',
                           parameters={'virtio': 1},
                           arguments=['-device', 'virtio-rng-pci'])
        guest.launch()
        self.assertIsNotNone(guest.event_wait('STOP', timeout=120))
        self.assertRegex(guest.serial(), r'(?m)^ok \d+ - it runs')
        self.assertEqual(guest.cmd('query-status')['status'],
                         'internal-error')
        guest.cmd('quit')
        guest.wait()
        self.assertIn('KVM has given the VM up', guest.get_log())

    def test_dirty_logging(self):
        """To log writes is nothing that private memory is lost of."""
        guest = self.at_step('private')
        guest.cmd('calc-dirty-rate', calc_time=1, mode='dirty-bitmap')
        deadline = time.monotonic() + 60
        while guest.cmd('query-dirty-rate')['status'] != 'measured':
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.1)
        # Then half of it is still private
        for step in 'mixed', 'back':
            guest.send('\n')
            guest.wait_for_line(f'# step {step}')
        guest.send('\n')
        self.check_report(guest.finish())

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

    def asking(self, quotes: str) -> Guest:
        """A guest that asks for them, of a service that there may be."""
        guest = self.guest('tdx', parameters={'quotes': quotes})
        super(Guest, guest).launch()
        guest.cmd('qom-set', path='/objects/cgs0',
                  property='quote-generation-socket',
                  value={'type': 'unix', 'path': f'{self.directory}/quotes'})
        guest.cmd('cont')
        return guest

    @contextmanager
    def service(self, quote: Callable[[bytes], bytes],
                cut: int | None = None) -> Iterator[None]:
        """Somebody who makes a quote of each report, and sends it, or as many
        bytes of the message."""
        header = struct.Struct('<HHIII')
        sizes = struct.Struct('<II')

        def serve(connection: socket.socket) -> None:
            with connection, connection.makefile('rb') as request:
                size, = struct.unpack('>I', request.read(4))
                message = request.read(size)
                major, minor, _, _, _ = header.unpack_from(message)
                data = quote(message[header.size + sizes.size:])
                answer = header.pack(
                    major, minor, 1, header.size + sizes.size + len(data), 0
                ) + sizes.pack(0, len(data)) + data
                answer = answer[:cut]
                connection.sendall(struct.pack('>I', len(answer)) + answer)

        def serve_all() -> None:
            while True:
                try:
                    serve(listener.accept()[0])
                except OSError:
                    return
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(self.directory / 'quotes'))
            listener.listen()
            threading.Thread(target=serve_all, daemon=True).start()
            yield

    def test_unavailable(self):
        """The guest is told, as often as it asks."""
        self.check_report(self.asking('unavailable').finish())

    def test_served(self):
        """A service answers each report, and the guest gets that."""
        with self.service(lambda report: bytes(byte ^ 0xff
                                               for byte in report)):
            self.check_report(self.asking('served').finish())

    def test_short(self):
        """An answer that is no quote: the guest is told that there is none."""
        for cut in 8, 16, 20:
            with self.service(lambda report: report, cut):
                self.check_report(self.asking('short').finish())
            (self.directory / 'quotes').unlink()

    def test_late(self):
        """What is private by the time of an answer is not written."""
        may_answer = threading.Semaphore(0)

        def quote(report: bytes) -> bytes:
            may_answer.acquire()
            return b'\xaa' * PAGE

        with self.service(quote):
            guest = self.asking('late')
            guest.wait_for_line('# step private')
            may_answer.release()
            deadline = time.monotonic() + 60
            # The quote, and that there is none
            while refused_accesses(guest) < 2:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            guest.send('\n')
            guest.wait_for_line('# step part')
            may_answer.release()
            self.check_report(guest.finish())
