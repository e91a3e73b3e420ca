# SPDX-License-Identifier: GPL-2.0-or-later
"""What docs/troubleshooting.rst says can be seen: each symptom is provoked,
or another test sees it."""

import json
import os
import re
from collections.abc import Sequence
from pathlib import Path

from qemu.machine import QEMUMachine
from qemu.machine.qtest import QEMUQtestMachine
from qemu.qmp.qmp_client import ExecuteError
from workbench.base import bases
from workbench.base.paths import REPO
from workbench.docs import doccommands
from workbench.guest.avocado import GuestTest
from workbench.guest.console import BINARY
from workbench.guest.guest import PAYLOADS
from workbench.guest.guests import sections

PAGE = REPO / 'docs' / 'troubleshooting.rst'
BACKEND = 'memory-backend-memfd-private'
CONFIDENTIAL = ('-machine', 'q35,confidential-guest-support=cgs0')
PROTECTED = ('-object', 'sw-protected-vm,id=cgs0', *CONFIDENTIAL)
# Its memory starts private.  With qtest no CPU is needed for that
SNP = ('-object', 'sev-snp-guest,id=cgs0,cbitpos=51,reduced-phys-bits=1',
       *CONFIDENTIAL)
MEMORY = ('-object', f'{BACKEND},id=ram0,size=64M', '-m', '64M',
          '-machine', 'memory-backend=ram0')
RAM_OBJECT = 'memory-backend-ram,id=ram1,size=64M'
MIB = 1 << 20
SIZE = 64 * MIB
RAM, HOLE = 16 * MIB, 512 * MIB
EFAULT, ENOMEM, EHWPOISON = 14, 12, 133
TO_SHARED, TO_PRIVATE = 0, 16           # KVM_MAP_GPA_RANGE_ENCRYPTED
QUEUE_SIZE = 1024                       # of virtio-blk
PRIVATE = 8                             # KVM_MEMORY_EXIT_FLAG_PRIVATE


def symptoms() -> list[str]:
    """First column of the page's tables."""
    cells = re.findall(r'^   \* - (.+?)\n     - ', PAGE.read_text(),
                       re.DOTALL | re.MULTILINE)
    return [' '.join(cell.split()).replace('``', '') for cell in cells
            if cell != 'Symptom']


class Troubleshooting(GuestTest):

    timeout = 400

    # Ways to provoke something; each returns what was seen

    def backend(self, options: str, *arguments: str) -> str:
        """QEMU ends because of a memory backend's options."""
        return self.refusal('-accel', 'kvm', *PROTECTED, '-object',
                         f'{BACKEND},id=ram1,size=64M,{options}', *arguments)

    def read_only(self) -> str:
        file = self.directory / 'rom'
        file.write_bytes(bytes(MIB))
        return self.refusal('-accel', 'kvm', *PROTECTED, '-object',
                            f'memory-backend-file,id=rom,mem-path={file},'
                            'size=1M,readonly=on,discard=none')

    def snp(self, *arguments: str) -> str:
        """QEMU ends because of these options of an SEV-SNP VM."""
        return self.refusal('-accel', 'qtest', *SNP, *arguments)

    def no_tdx(self) -> str | None:
        """Only QEMU 10.2 knows TDX, which this kernel has not."""
        if bases.current() == bases.FIRST:
            return None
        return self.refusal('-accel', 'kvm', '-object', 'tdx-guest,id=cgs0',
                            *CONFIDENTIAL)

    def unknown_tdx(self) -> str | None:
        if bases.current() != bases.FIRST:
            return None
        return self.refusal('-object', 'tdx-guest,id=tdx0')

    def one_file(self, *arguments: str, options: str = '') -> str:
        """The same with the other backend."""
        return self.refusal(*arguments, '-object', 'memory-backend-guest-memfd,'
                         f'id=ram1,size=64M{options}')

    def machine(self, *commands: str, cpu: str = 'max',
                vm: Sequence[str] = PROTECTED,
                arguments: Sequence[str] = (),
                ask: Sequence[tuple[str, dict[str, object]]] = ()) -> str:
        """Commands of qtest, then of QMP, and all that QEMU says."""
        machine = QEMUQtestMachine(
            str(BINARY), name='troubleshooting',
            base_temp_dir=str(self.directory))
        machine.add_args('-nodefaults', '-cpu', cpu, *vm, *MEMORY,
                         *arguments)
        seen = ''
        try:
            machine.launch()
            for command in commands:
                answer = machine.qtest(command)
                self.assertTrue(answer.startswith('OK'), answer)
            for command, options in ask:
                try:
                    seen += str(machine.cmd(command, options))
                except ExecuteError as error:
                    seen += str(error)
            # After its answer, which is after all events
            machine.cmd('query-status')
            seen += json.dumps(machine.get_qmp_events(wait=0))
        finally:
            machine.shutdown(hard=True)
        return seen + (machine.get_log() or '')

    def full_host(self, *properties: tuple[str, object]) -> str:
        """Memory is to be allocated, and there is none."""
        return self.machine(
            f'private_fail allocate 1 {ENOMEM}',
            ask=[('object-add', {'qom-type': 'memory-backend-ram', 'id': 'm',
                                 'size': MIB, 'discard': 'none',
                                 'private-prealloc': True, **dict(properties)}),
                 # This waits until the threads are gone
                 ('object-del', {'id': 'm'})])

    def fault(self, gpa: int, flags: int, error: int = EFAULT,
              times: int = 8, **options) -> str:
        """The same memory fault, some times."""
        return self.machine(*(f'private_memory_fault 0 {gpa} 4096 {flags} '
                              f'{error}' for _ in range(times)), **options)

    def private(self, command: str, **arguments: object) -> str:
        """A command of QMP, while a page is private."""
        return self.machine(f'private_map_gpa_range 0 {RAM} 1 {TO_PRIVATE}',
                            ask=[(command, arguments)])

    def private_virtio(self, *commands: str) -> str:
        """A legacy virtio device is kicked after these commands."""
        config, base = 0x80000000 | 4 << 11, 0xc000
        return self.machine(
            *commands,
            f'outl 0xcf8 {config | 0x10}', f'outl 0xcfc {base}',
            f'outl 0xcf8 {config | 0x04}', 'outl 0xcfc 7',
            f'outb {base + 0x12} 7',            # status: driver is ready
            f'outl {base + 0x08} {RAM >> 12}',  # page of the first queue
            f'outw {base + 0x10} 0',            # notify
            arguments=('-drive', 'if=none,id=disk,file=null-co://,format=raw',
                       '-device', 'virtio-blk-pci,drive=disk,addr=04.0,'
                       'disable-legacy=off,disable-modern=on,'
                       'iommu_platform=off,ioeventfd=off'))

    def private_queue(self) -> str:
        """Its queue is private."""
        return self.private_virtio(
            f'private_map_gpa_range 0 {RAM} 16 {TO_PRIVATE}')

    def private_buffer(self) -> str:
        """What the first descriptor in its queue is for is private."""
        buffer, available = RAM + MIB, RAM + QUEUE_SIZE * 16
        return self.private_virtio(
            f'private_map_gpa_range 0 {buffer} 1 {TO_PRIVATE}',
            f'writeq {RAM} {buffer}', f'writel {RAM + 8} 16',
            f'writel {available} {1 << 16}')

    def short_file(self) -> str:
        """An ordinary guest whose memory's file is cut short."""
        file = self.directory / 'memory'
        guest = self.guest(
            'selftest', vm_type='ordinary', machine='q35,memory-backend=file',
            memory='64M', trace=False, arguments=(
                '-object', f'memory-backend-file,id=file,mem-path={file},'
                'size=64M,share=on'))
        QEMUMachine.launch(guest)
        os.truncate(file, 0)
        guest.cmd('cont')
        self.assertIsNotNone(guest.event_wait('STOP', timeout=60.0))
        guest.shutdown(hard=True)
        return guest.get_log()

    def plugged(self) -> str:
        """Memory is plugged, and its attributes cannot be set."""
        return self.machine(
            f'private_fail attributes 1 {ENOMEM}',
            arguments=('-m', '64M,slots=1,maxmem=1G'),
            ask=[('stop', {}),
                 ('object-add', {'qom-type': BACKEND, 'id': 'm', 'size': SIZE,
                                 'initial': 'private'}),
                 ('device_add', {'driver': 'pc-dimm', 'id': 'dimm0',
                                 'memdev': 'm'}),
                 ('cont', {})])

    def full_after_reset(self) -> str:
        """Memory is allocated again, and there is none."""
        return self.machine(
            f'private_fail allocate 1 {ENOMEM}',
            arguments=('-object', f'{RAM_OBJECT},discard=none,'
                       'private-prealloc=on', '-machine',
                       'memory-backend=ram1'),
            ask=[('system_reset', {})])

    def outside_rss(self) -> None:
        """The memory cgroup has private memory, and QEMU's RSS has not."""
        group = self.cgroup()
        guest = self.guest(
            'selftest', machine='q35,memory-backend=ram1', memory='256M',
            trace=False, wrapper=group.wrapper(), arguments=(
                '-object', 'memory-backend-ram,id=ram1,size=256M,discard=none,'
                'private-prealloc=on'))
        QEMUMachine.launch(guest)
        self.assertGreaterEqual(group.statistics('unevictable'), 256 * MIB)
        status = Path(f'/proc/{guest.get_pid()}/status').read_text()
        rss, = re.findall(r'^VmRSS:\s+(\d+) kB$', status, re.MULTILINE)
        self.assertLess(int(rss) << 10, 200 * MIB)
        guest.shutdown(hard=True)

    def elsewhere(self, name: str) -> str:
        """Another test or page sees the message."""
        return re.sub(r"'\s+'", '', (REPO / name).read_text())

    def run_on_page(self) -> str:
        """A command of the page prints it, which scripts/check docs
        compares."""
        return '\n'.join(line for block in doccommands.blocks(PAGE, [])
                         if block.kind == 'host' for command in block.commands
                         for line in command.output)

    def measured(self, section: str) -> None:
        """A guest test sees something that is no message."""
        self.assertIn(section, [known.name for known in sections()])

    def seen_by(self, name: str, test: str) -> None:
        """Another test sees something that is no message."""
        self.assertIn(f'def {test}(self', (REPO / name).read_text())

    # Part of a symptom, and how it is provoked
    PROVOKED = {
        'Could not access KVM kernel module':
            lambda self: self.refusal('-accel', 'kvm,device=/none'),
        'KVM does not offer software-protected VMs':
            lambda self: self.run_on_page(),
        'vm-type SEV-SNP':
            lambda self: self.refusal('-readconfig',
                                   str(REPO / 'configs/vm/sev-snp.cfg')),
        'vm-type TDX':
            lambda self: self.no_tdx(),
        "'tdx-guest'":
            lambda self: self.unknown_tdx(),
        'if=pflash':
            lambda self: self.snp('-drive', 'if=pflash,format=raw,'
                                  'file=null-co://'),
        'KVM has no SMM':
            lambda self: self.refusal('-accel', 'kvm', *PROTECTED, '-machine',
                                   'smm=on'),
        'for sw-protected-vm: KVM required':
            lambda self: self.refusal('-accel', 'tcg', *PROTECTED),
        'memfd-private: accelerator':
            lambda self: self.refusal('-accel', 'tcg', *PROTECTED, *MEMORY),
        'memfd-private: this type of VM':
            lambda self: self.refusal('-accel', 'kvm', *MEMORY),
        'memory-backend-ram: accelerator':
            lambda self: self.refusal('-accel', 'tcg', '-object',
                                      f'{RAM_OBJECT},discard=none'),
        'memory-backend-ram: this type of VM':
            lambda self: self.refusal('-accel', 'kvm', '-object',
                                      f'{RAM_OBJECT},discard=none'),
        "Invalid parameter 'private'":
            lambda self: self.refusal('-accel', 'kvm', '-object',
                                      f'{RAM_OBJECT},private=on'),
        'kvm-type':
            lambda self: self.refusal('-accel', 'kvm', '-machine',
                                      'q35,kvm-type=protected'),
        'memory that is read-only':
            lambda self: self.read_only(),
        'not a multiple of the page size':
            lambda self: self.backend('size=4097'),
        '; use prealloc=on':
            lambda self: self.backend('private-prealloc=on'),
        'initial=shared is not possible':
            lambda self: self.snp('-object', f'{BACKEND},id=ram1,size=64M,'
                                  'initial=shared'),
        'enough free huge pages':
            lambda self: self.backend('hugetlb=on,hugetlbsize=1G,size=1G'),
        'start without -incoming':
            lambda self: self.backend('share=on', '-incoming', 'defer'),
        'free-page-reporting':
            lambda self: self.refusal(
                '-accel', 'kvm', *PROTECTED, '-device',
                'virtio-balloon-pci,free-page-reporting=on'),
        'not a power of two':
            lambda self: self.refusal('-accel', 'kvm', '-device',
                                      'vfio-pci,sysfsdev=/sys/kernel,'
                                      'map-granularity=12k'),
        'as for the devices':
            lambda self: self.elsewhere('tests/avocado/devices.py'),
        'cannot be behind a vIOMMU':
            lambda self: self.backend('share=on', '-device', 'virtio-iommu-pci',
                                      '-device',
                                      'vfio-pci,sysfsdev=/sys/kernel'),
        'blob resources are not possible':
            lambda self: self.backend('share=on', '-device',
                                      'virtio-gpu-pci,blob=on'),
        'policy=... is not possible':
            lambda self: self.backend('policy=bind,host-nodes=1'),
        'the accelerator has no guest_memfd':
            lambda self: self.one_file('-accel', 'tcg'),
        'share=off is not possible':
            lambda self: self.one_file('-accel', 'kvm', options=',share=off'),
        'merge=on is not possible':
            lambda self: self.one_file('-accel', 'kvm', options=',merge=on'),
        'Use a pc-dimm':
            lambda self: self.backend('share=on', '-m', '64M,maxmem=1G',
                                      '-device',
                                      'virtio-mem-pci,memdev=ram1'),
        'only-migratable':
            lambda self: self.backend('share=on', '-only-migratable'),
        'No space left on device':
            lambda self: self.elsewhere('tests/avocado/devices.py'),
        'RLIMIT_MEMLOCK':
            lambda self: self.elsewhere('tests/avocado/devices.py'),
        'cannot create a guest_memfd':
            lambda self: self.machine(
                f'private_fail create 1 {ENOMEM}',
                ask=[('object-add', {'qom-type': BACKEND, 'id': 'm',
                                     'size': MIB})]),
        'cannot preallocate private memory':
            lambda self: self.full_host(),
        'cannot allocate all of the private half':
            lambda self: self.full_host(('private-prealloc-async', True)),
        'takes minutes':
            lambda self: self.elsewhere('tests/avocado/backend.py'),
        'PRIVATE_MEMORY_CONVERSION_FAILED':
            lambda self: self.machine(
                f'private_map_gpa_range 0 {HOLE} 1 {TO_PRIVATE}'),
        'cannot be private, as the guest':
            lambda self: self.fault(HOLE, PRIVATE),
        'KVM still cannot access it':
            lambda self: self.fault(RAM, 0),
        'kvm run failed':
            lambda self: self.short_file(),
        'makes no sense':
            lambda self: self.fault(RAM, 1, times=1),
        'the guest got a machine check':
            lambda self: self.elsewhere('tests/avocado/poison.py'),
        'cannot be told by a machine check':
            lambda self: self.fault(RAM, PRIVATE, EHWPOISON, times=1,
                                    cpu='qemu64,-mce'),
        'goes on to use it':
            lambda self: self.elsewhere('tests/avocado/poison.py'),
        'The host has no memory':
            lambda self: self.fault(RAM, PRIVATE, ENOMEM),
        'could not be reset':
            lambda self: self.machine(
                f'private_map_gpa_range 0 {RAM} 1 {TO_PRIVATE}',
                f'private_fail attributes 1 {ENOMEM}',
                ask=[('system_reset', {})]),
        'protected CPUs':
            lambda self: self.elsewhere('tests/avocado/snp.py'),
        'after a reset':
            lambda self: self.full_after_reset(),
        'could not set which guest memory':
            lambda self: self.plugged(),
        'asked for termination':
            lambda self: self.elsewhere('tests/avocado/snp.py'),
        'CPUs cannot be added':
            lambda self: self.elsewhere('tests/avocado/tdx.py'),
        'to a balloon':
            lambda self: self.machine(
                vm=SNP, arguments=('-bios', str(PAYLOADS / 'selftest.bin'),
                                   '-device', 'virtio-balloon-pci'),
                ask=[('balloon', {'value': MIB})]),
        'memory of a virtqueue':
            lambda self: self.private_queue(),
        'which is private memory':
            lambda self: self.private_buffer(),
        'PRIVATE_MEMORY_ACCESS_REFUSED':
            lambda self: self.machine(
                f'private_map_gpa_range 0 {RAM} 1 {TO_PRIVATE}',
                f'readl {RAM}'),
        'only the guest can read it':
            lambda self: self.private('pmemsave', val=RAM, size=16,
                                      filename='/dev/null'),
        'Memory is private':
            lambda self: self.private('human-monitor-command', **{
                'command-line': f'xp/1xb {RAM}'}),
        'Memory ... has a private half':
            lambda self: self.private('migrate', uri='exec:cat >/dev/null'),
        'its memory exists':
            lambda self: self.private('qom-set', path='/objects/ram0',
                                      property='initial', value='private'),
        'could not free private memory':
            lambda self: self.machine(
                f'private_map_gpa_range 0 {RAM} 1 {TO_PRIVATE}',
                f'private_fail punch 1 {ENOMEM}',
                f'private_map_gpa_range 0 {RAM} 1 {TO_SHARED}'),
        "twice the guest's memory":
            lambda self: self.measured('halves-discard-none'),
        'RSS':
            lambda self: self.outside_rss(),
        '<hugepages/>':
            lambda self: self.seen_by('tests/avocado/libvirt.py',
                                      'test_hugepages'),
        'virtiofsd':
            lambda self: self.seen_by('tests/avocado/isolation.py',
                                      'test_daemon'),
        'DMAR: [DMA Write]':
            lambda self: self.measured('dma-type1'),
    }

    def test_symptoms(self):
        """Each symptom has its way, each way its symptom."""
        unused = set(self.PROVOKED)
        wrong = []
        for symptom in symptoms():
            keys = [key for key in self.PROVOKED if key in symptom]
            if len(keys) != 1:
                wrong.append(f'{symptom}: provoked by {keys}')
                continue
            unused.discard(keys[0])
            # None if it is for another kernel
            seen = self.PROVOKED[keys[0]](self)
            self.log.info('%s\n%s', symptom, seen)
            pattern = '.*'.join(map(re.escape, symptom.split('...')))
            if seen is not None and not re.search(
                    pattern, ' '.join(seen.split()), re.DOTALL):
                wrong.append(f'{symptom}: not in\n{seen}')
        self.assertEqual(wrong + sorted(unused), [])
