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

from workbench import kvm
from workbench.avocado import GuestTest
from workbench.guest import PAYLOADS, Guest
from workbench.isolation import STEPS, observe

SNP_VM = 4
HUGE_PAGES = Path('/sys/kernel/mm/transparent_hugepage/enabled')
HALVES_STEPS = ('start', 'first', 'shared', 'private', 'mixed', 'back')
KIB, MIB = 1 << 10, 1 << 20
TERMINATED = 1          # an error of isa-debug-exit's range, but no payload's
# The test kernel's firmware takes no CPUID page if the first byte is not 0
REFUSE_CPUID = base64.b64encode(b'\1' + bytes(15)).decode()


def kernel_warnings() -> list[str]:
    log = subprocess.run(['dmesg'], check=True, text=True, capture_output=True)
    return re.findall(r'.*(?:WARNING|BUG|SEV:).*', log.stdout)


class SnpTest(GuestTest):

    def setUp(self) -> None:
        super().setUp()
        self._warnings = kernel_warnings()

    def tearDown(self) -> None:
        """KVM has nothing to complain of, the end of the VM included."""
        super().tearDown()
        self.assertEqual(kernel_warnings(), self._warnings)

    def needs_snp(self) -> None:
        if not kvm.check_extension(kvm.CAP_VM_TYPES) & 1 << SNP_VM:
            self.cancel('this KVM has no SEV-SNP '
                        '(kvm_amd.soft_snp of the test kernel)')

    def object(self, properties: str = '') -> list[str]:
        """Properties begin with a comma."""
        # The emulated CPU has no SEV, so it has no C-bit either
        return ['-object', 'sev-snp-guest,id=snp0,cbitpos=0,'
                f'reduced-phys-bits=1{properties}']

    def snp(self, *arguments: str, payload: str = 'snp', machine: str = 'q35',
            properties: str = '', **options) -> Guest:
        """An SNP guest, not yet launched."""
        self.needs_snp()
        return self.guest(
            payload, vm_type='ordinary',
            machine=f'{machine},confidential-guest-support=snp0',
            arguments=[*self.object(properties), *arguments], **options)


class Conversion(SnpTest):

    def check(self, size: int) -> None:
        guest = self.snp(parameters={'size': size})
        self.passes(guest)
        exits = {(conversion.exit, conversion.to_private)
                 for conversion in self.conversions(guest)}
        self.assertEqual(exits, {(reason, to_private) for reason in
                                 ('KVM_EXIT_HYPERCALL',
                                  'KVM_EXIT_MEMORY_FAULT')
                                 for to_private in (True, False)})

    def test_pages(self):
        self.check(64 * KIB)

    def test_large_pages(self):
        """2 MiB at a time, and 4 KiB around them."""
        self.check(2 * MIB + 64 * KIB)

    def test_many_cpus(self):
        """They convert neighbouring pages at the same time."""
        self.passes(self.snp(cpus=4))

    def test_host_view(self):
        """A secret in a private page is nowhere in the host's view."""
        guest = self.snp(payload='isolation')
        guest.launch()
        seen = list(observe(guest))
        self.assertEqual([look.step for look in seen], list(STEPS))
        for look in seen:
            with self.subTest(step=look.step):
                self.assertEqual((look.refused, look.in_page, look.in_memory),
                                 (not look.shared, look.shared, look.shared))
        self.check_report(guest.finish())


class Launch(SnpTest):

    def one_backend(self, backend: str) -> None:
        self.passes(self.snp('-object', f'{backend},id=ram0,size=256M',
                             machine='q35,memory-backend=ram0'))

    def test_memory_backend_ram(self):
        self.one_backend('memory-backend-ram')

    def test_memory_backend_memfd(self):
        self.one_backend('memory-backend-memfd')

    def test_memory_backend_memfd_private(self):
        self.one_backend('memory-backend-memfd-private')

    def test_two_nodes(self):
        """What is converted is in the second one."""
        self.passes(self.snp(
            '-object', 'memory-backend-ram,id=ram0,size=128M',
            '-numa', 'node,memdev=ram0',
            '-object', 'memory-backend-memfd-private,id=ram1,size=128M',
            '-numa', 'node,memdev=ram1', parameters={'base': 130 * MIB}))

    def test_above_4g(self):
        self.passes(self.snp(machine='q35,max-ram-below-4g=128M',
                             parameters={'base': 4096 * MIB + 64 * MIB}))

    def test_selftest(self):
        self.passes(self.snp(payload='selftest', cpus=4))

    def test_kernel_hashes(self):
        """The page with them is launched, and is right."""
        command_line = 'console=ttyS0'
        guest = self.snp('-kernel', os.environ['WITH_KVM_KERNEL'],
                         '-append', command_line,
                         properties=',kernel-hashes=on',
                         parameters={'hashes': 1})
        self.passes(guest)
        expected = hashlib.sha256(command_line.encode() + b'\0').hexdigest()
        self.assertIn(expected, guest.serial())

    def test_ovmf(self):
        """Debian's firmware is launched, with all that its metadata name."""
        guest = self.snp('-trace', 'kvm_sev_snp_launch_*',
                         '-bios', os.environ['OVMF'])
        guest.launch()
        self.assertEqual(guest.cmd('query-sev')['state'], 'running')
        launched = re.findall(r'kvm_sev_snp_launch_update .*\((\w+) page\)',
                              guest.trace())
        self.assertEqual(set(launched),
                         {'Normal', 'Zero', 'Secrets', 'Cpuid'})
        self.assertIn('kvm_sev_snp_launch_finish', guest.trace())

    def test_cpuid_refused(self):
        """QEMU says which value would do, and ends; others are launched."""
        guest = self.snp(properties=',guest-visible-workarounds='
                         f'{REFUSE_CPUID}')
        guest.launch()
        guest.finish()
        self.assertEqual(guest.exitcode(), 1)
        self.assertRegex(guest.get_log(), 'SEV-SNP: CPUID validation failed '
                         'for function 0x')
        self.assertIn('SEV-SNP: failed update CPUID page', guest.get_log())
        self.passes(self.snp())

    def test_flash_refused(self):
        self.needs_snp()
        image = self.directory / 'flash'
        image.write_bytes((PAYLOADS / 'snp.bin').read_bytes())
        said = self.refusal(
            '-accel', 'kvm', *self.object(),
            '-machine', 'q35,confidential-guest-support=snp0',
            '-drive', f'if=pflash,format=raw,file={image},readonly=on')
        self.assertIn('use -bios', said)

    def test_registers_before_start(self):
        """Who has looked at registers does not keep the VM from running."""
        guest = self.snp()
        super(Guest, guest).launch()
        registers = guest.cmd('human-monitor-command',
                              command_line='info registers')
        self.assertIn('EIP=0000fff0', registers)
        self.assertNotIn('protected', registers)
        guest.cmd('cont')
        self.check_report(guest.finish())


class Memory(SnpTest):

    def test_one_half(self):
        """Of each page one half is in memory, at most; none at the end."""
        base, size, slack = 64 * MIB, 32 * MIB, 4 * MIB
        # Not for QEMU's heap, as distributions have it
        HUGE_PAGES.write_text('madvise')
        group = self.cgroup()
        guest = self.snp(payload='halves', memory='128M', trace=False,
                         wrapper=group.wrapper(),
                         parameters={'base': base, 'size': size})
        guest.launch()
        used, seen = {}, 0
        for name in HALVES_STEPS:
            seen = guest.wait_for_line(f'# step {name}', seen).end()
            used[name] = group.statistics('anon', 'shmem', 'unevictable')
            guest.send('\n')
        self.check_report(guest.finish())
        left = group.statistics('anon', 'shmem', 'unevictable')
        group.remove()
        self.log.info('used: %s', used)
        for name in HALVES_STEPS[1:]:
            grown = used[name] - used['start']
            self.assertGreater(grown, size // 2, name)
            self.assertLess(grown, size + slack, name)
        self.assertLess(left, slack)


    def test_plugged(self):
        """Memory that is plugged starts private, as all of it does."""
        guest = self.snp(payload='halves', memory='128M,slots=1,maxmem=1G',
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


class State(SnpTest):
    """What there is, and what there is not, of a VM that runs."""

    def at_step(self, name: str, *arguments: str, **options) -> Guest:
        guest = self.snp(*arguments, payload='halves', parameters={
            'base': 64 * MIB, 'size': 4 * MIB}, **options)
        guest.launch()
        seen = 0
        for step in HALVES_STEPS:
            seen = guest.wait_for_line(f'# step {step}', seen).end()
            if step == name:
                return guest
            guest.send('\n')
        raise ValueError(name)

    def test_query_sev(self):
        info = self.at_step('start').cmd('query-sev')
        self.assertEqual((info['enabled'], info['state'], info['sev-type'],
                          info['snp-policy']),
                         (True, 'running', 'sev-snp', 0x30000))

    def test_monitor(self):
        """Private memory is not shown, nor is a VM saved."""
        guest = self.at_step('mixed')
        private, shared = 64 * MIB + 4 * KIB, 64 * MIB

        def says(command: str) -> str:
            return guest.cmd('human-monitor-command', command_line=command)
        self.assertIn(f'{shared:016x}: 0x{shared:016x}',
                      says(f'xp/1xg {shared:#x}'))
        self.assertIn('Memory is private', says(f'xp/1xg {private:#x}'))
        self.assertIn("The guest's registers are protected",
                      says('info registers'))
        self.assertIn('Migration is not implemented', says('savevm one'))
        guest.cmd('dump-guest-memory', paging=False,
                  protocol=f'file:{self.directory}/dump')
        # The dump has stopped it for a while
        guest.event_wait('STOP')
        guest.send('\n')
        guest.wait_for_line('# step back')
        guest.send('\n')
        self.check_report(guest.finish())

    def test_reset(self):
        """It is refused, QEMU ends the VM, and memory is what it was."""
        guest = self.at_step('mixed', '-no-shutdown', reboot=True)
        before = guest.cmd('query-private-memory')
        guest.cmd('system_reset')
        guest.event_wait('SHUTDOWN')
        self.assertEqual(guest.cmd('query-private-memory'), before)
        guest.stop()
        self.assertIn('cpus are not resettable', guest.get_log())

    def test_shutdown(self):
        guest = self.snp(parameters={'end': 'shutdown'})
        guest.launch()
        self.check_report(guest.finish())
        self.assertEqual(guest.exitcode(), 0, guest.get_log())

    def test_terminate(self):
        """The guest asks for its end: it has panicked, says QEMU."""
        guest = self.snp('-action', 'panic=exit-failure',
                         parameters={'end': 'terminate'})
        guest.launch()
        self.check_report(guest.finish())
        self.assertEqual(guest.exitcode(), TERMINATED, guest.get_log())
        self.assertIn('SEV guest asked for termination: reason code set 0x0, '
                      'reason code 0x42', guest.get_log())
