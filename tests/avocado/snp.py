# SPDX-License-Identifier: GPL-2.0-or-later
"""
SEV-SNP guests, an unmodified -object sev-snp-guest, on the test kernel.

Its KVM launches, protects and converts with its own code; nothing encrypts, and
no CPU enforces (tests/kernel/soft-snp.patch).
"""

import base64
import hashlib
import os
import re
import subprocess
from pathlib import Path

from workbench.guest.avocado import GuestTest
from workbench.guest.guest import HALVES_STEPS, PAYLOADS, Guest
from workbench.guest.protected import ProtectedState
from workbench.guest.vm_types import VM_TYPES

NR_HUGEPAGES = Path('/proc/sys/vm/nr_hugepages')
MIB = 1 << 20
TERMINATED = 1          # an error of isa-debug-exit's range, but no payload's
# The test kernel's firmware takes no CPUID page if the first byte is not 0
REFUSE_CPUID = base64.b64encode(b'\1' + bytes(15)).decode()


def kernel_warnings() -> list[str]:
    log = subprocess.run(['dmesg'], check=True, text=True, capture_output=True)
    return re.findall(r'.*(?:WARNING|BUG|SEV:).*', log.stdout)


class SnpTest(GuestTest):

    vm_type = 'sev-snp'

    def setUp(self) -> None:
        super().setUp()
        self._warnings = kernel_warnings()

    def tearDown(self) -> None:
        """KVM has nothing to complain of, the end of the VM included."""
        super().tearDown()
        self.assertEqual(kernel_warnings(), self._warnings)


class Launch(SnpTest):

    def test_hugetlb(self):
        """The shared half is made of huge pages."""
        self.alone_with('huge-pages')
        NR_HUGEPAGES.write_text('66')
        self.passes(self.guest(
            'snp', memory='128M', machine='q35,memory-backend=ram0',
            arguments=['-object', 'memory-backend-memfd-private,id=ram0,'
                       'size=128M,hugetlb=on,hugetlbsize=2M']))
        NR_HUGEPAGES.write_text('0')

    def test_kernel_hashes(self):
        """The page with them is launched, and is right."""
        command_line = 'console=ttyS0'
        guest = self.guest('snp', vm_properties=',kernel-hashes=on',
                           parameters={'hashes': 1}, arguments=[
                               '-kernel', os.environ['WITH_KVM_KERNEL'],
                               '-append', command_line])
        self.passes(guest)
        expected = hashlib.sha256(command_line.encode() + b'\0').hexdigest()
        self.assertIn(expected, guest.serial())

    def test_ovmf(self):
        """Debian's firmware is launched, with all that its metadata name."""
        guest = self.guest('snp', arguments=[
            '-trace', 'kvm_sev_snp_launch_*', '-bios', os.environ['QMP_OVMF']])
        guest.launch()
        self.assertEqual(guest.cmd('query-sev')['state'], 'running')
        launched = re.findall(r'kvm_sev_snp_launch_update .*\((\w+) page\)',
                              guest.trace())
        self.assertEqual(set(launched),
                         {'Normal', 'Zero', 'Secrets', 'Cpuid'})
        self.assertIn('kvm_sev_snp_launch_finish', guest.trace())

    def test_cpuid_refused(self):
        """QEMU says which value would do, and ends; others are launched."""
        guest = self.guest('snp', vm_properties=',guest-visible-workarounds='
                           f'{REFUSE_CPUID}')
        guest.launch()
        guest.finish()
        self.assertEqual(guest.exitcode(), 1)
        self.assertRegex(guest.get_log(), 'SEV-SNP: CPUID validation failed '
                         'for function 0x')
        self.assertIn('SEV-SNP: failed update CPUID page', guest.get_log())
        self.passes(self.guest('snp'))

    def test_flash_refused(self):
        image = self.directory / 'flash'
        image.write_bytes((PAYLOADS / 'snp.bin').read_bytes())
        said = self.refusal(
            '-accel', 'kvm', *VM_TYPES['sev-snp'].arguments,
            '-machine', 'q35' + VM_TYPES['sev-snp'].machine,
            '-drive', f'if=pflash,format=raw,file={image},readonly=on')
        self.assertIn('use -bios', said)

    def test_registers_before_start(self):
        """Who has looked at registers does not keep the VM from running."""
        guest = self.guest('snp')
        super(Guest, guest).launch()
        registers = guest.cmd('human-monitor-command',
                              command_line='info registers')
        self.assertIn('EIP=0000fff0', registers)
        self.assertNotIn('protected', registers)
        guest.cmd('cont')
        self.check_report(guest.finish())


class Memory(SnpTest):

    def test_plugged(self):
        """Memory that is plugged starts private, as all of it does."""
        guest = self.guest('halves', memory='128M,slots=1,maxmem=1G',
                           parameters={'base': 64 * MIB, 'size': 2 * MIB})
        guest.launch()
        guest.wait_for_line('# step start')
        guest.cmd('object-add', **{'qom-type': 'memory-backend-ram',
                                   'id': 'ram1', 'size': 64 * MIB})
        guest.cmd('device_add', driver='pc-dimm', id='dimm1', memdev='ram1')
        plugged, = [block for block in
                    guest.cmd('query-private-memory')['blocks']
                    if block.get('backend', '').endswith('ram1')]
        self.assertEqual(plugged['private'], 64 * MIB)
        for name in HALVES_STEPS[1:]:
            guest.send('\n')
            guest.wait_for_line(f'# step {name}')
        guest.send('\n')
        self.check_report(guest.finish())


class State(ProtectedState, SnpTest):

    payload = 'snp'
    not_saved = 'Migration is not implemented'

    def test_query_sev(self):
        info = self.at_step('start').cmd('query-sev')
        self.assertEqual((info['enabled'], info['state'], info['sev-type'],
                          info['snp-policy']),
                         (True, 'running', 'sev-snp', 0x30000))

    def test_shutdown(self):
        guest = self.guest('snp', parameters={'end': 'shutdown'})
        guest.launch()
        self.check_report(guest.finish())
        self.assertEqual(guest.exitcode(), 0, guest.get_log())

    def test_hole(self):
        """A private access to what is no memory is not tried for ever."""
        self.needs_intent()
        super().test_hole()

    def rebooted(self, end: str, *arguments: str) -> str:
        """QEMU's log, of a guest that resets itself: QEMU ends."""
        guest = self.guest('snp', reboot=True, arguments=arguments,
                           parameters={'end': end})
        guest.launch()
        self.check_report(guest.finish())
        self.assertEqual(guest.exitcode(), 0, guest.get_log())
        shutdown = guest.event_wait('SHUTDOWN', timeout=0)
        self.assertEqual(shutdown['data'],
                         {'guest': True, 'reason': 'guest-reset'})
        return guest.get_log()

    def test_reboot(self):
        """By a register, or by a triple fault: QEMU says why it ends."""
        for end in ('reset', 'shutdown'):
            self.assertIn('guest-reset: a VM with protected CPUs cannot be '
                          'reset; ending it, start it again',
                          self.rebooted(end))

    def test_reboot_ends(self):
        """Where that is what was asked for, there is nothing to say."""
        for action in (['-no-reboot'], ['-action', 'reboot=shutdown']):
            self.assertNotIn('cannot be reset',
                             self.rebooted('reset', *action))

    def terminated(self, end: str) -> str:
        """QEMU's log, of a guest that asks for its end: it has panicked."""
        guest = self.guest('snp', arguments=('-action', 'panic=exit-failure'),
                           parameters={'end': end})
        guest.launch()
        self.check_report(guest.finish())
        self.assertEqual(guest.exitcode(), TERMINATED, guest.get_log())
        return guest.get_log()

    def test_terminate(self):
        """By the MSR: QEMU sees the reason."""
        self.assertIn('SEV guest asked for termination: reason code set 0x0, '
                      'reason code 0x42', self.terminated('terminate'))

    def test_terminate_by_page(self):
        """The reason is in the page then, where QEMU does not see it."""
        log = self.terminated('terminate-by-page')
        self.assertIn('SEV guest asked for termination', log)
        self.assertNotIn('reason code', log)
