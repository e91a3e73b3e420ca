# SPDX-License-Identifier: GPL-2.0-or-later
"""Devices see shared memory and no other: an assigned one through a real IOMMU,
and those that QEMU emulates."""

import mmap
import os
import re
import subprocess
from pathlib import Path

from qemu.machine.machine import VMLaunchFailure
from workbench.avocado import GuestTest
from workbench.guest import assigned_device
from workbench.isolation import STEPS, observe, secret

TYPE1_LIMIT = Path('/sys/module/vfio_iommu_type1/parameters/dma_entry_limit')


def iommu_faults() -> int:
    """How many the IOMMU has logged so far."""
    log = subprocess.run(['dmesg'], check=True, capture_output=True,
                         text=True).stdout
    return len(re.findall(r'DMAR: \[DMA (Read|Write)', log))


class Assigned(GuestTest):
    """There is one device, for one test at a time."""

    def setUp(self):
        super().setUp()
        self.old_limit = ''
        self.device = os.environ.get('WITH_KVM_DEVICE')
        if not self.device:
            self.cancel('no device to assign: run beside with-kvm --iommu')
        self.alone_with(f'device-{self.device}')

    def tearDown(self):
        if self.old_limit:
            # Not as a cleanup of unittest's, which avocado does not run
            TYPE1_LIMIT.write_text(self.old_limit)
        super().tearDown()

    def assigned(self, how, parameters, memory='64M', properties='',
                 **options):
        return self.guest(
            'dma', parameters=parameters, memory=memory,
            machine='q35,memory-backend=ram0',
            arguments=('-object', 'memory-backend-memfd-private,id=ram0,'
                       f'size={memory}',
                       *assigned_device(self.device, how, properties),
                       '-trace', 'vfio_pieces*'),
            **options)

    def check_steps(self, how):
        before = iommu_faults()
        self.passes(self.assigned(how, {}))
        self.assertGreater(iommu_faults(), before,
                           'the IOMMU has stopped nothing')

    def test_steps_type1(self):
        self.check_steps('type1')

    def test_steps_iommufd(self):
        self.check_steps('iommufd')

    def check_conversions(self, how, **options):
        before = iommu_faults()
        guest = self.assigned(how, {'steps': 0, 'conversions': 10000},
                              trace=False, **options)
        self.passes(guest, limit=280)
        self.assertEqual(iommu_faults(), before)

    def test_conversions_type1(self):
        self.check_conversions('type1')

    def test_conversions_iommufd(self):
        self.check_conversions('iommufd')

    def test_conversions_page_by_page(self):
        """With small mappings there is no fault from the very beginning."""
        before = iommu_faults()
        guest = self.assigned('type1', {'steps': 0, 'conversions': 2000,
                                        'isolated': 0},
                              properties=',map-granularity=4k', trace=False)
        self.passes(guest, limit=280)
        self.assertEqual(iommu_faults(), before)

    def test_few_mappings(self):
        """1 GiB takes at most 1024 of them."""
        guest = self.assigned('type1', {}, memory='1G')
        self.passes(guest)
        begin = guest.trace().split('kvm_hc_map_gpa_range')[0]
        # The board moves memory once, when it is reset
        counts = [len(re.findall(r'vfio_pieces_map .* ret 0', part))
                  for part in begin.split('vfio_pieces_unmap')]
        self.log.info('mappings: %s', counts)
        self.assertGreater(counts[-1], 0)
        self.assertLessEqual(max(counts), 1024)

    def limit(self, entries):
        """Allow only that many mappings, until the test ends."""
        self.old_limit = TYPE1_LIMIT.read_text()
        TYPE1_LIMIT.write_text(str(entries))

    def test_limit(self):
        """No mapping left: the guest gets an error, and all else goes on."""
        self.limit(192)
        guest = self.assigned('type1', {'steps': 0, 'limit': 1,
                                        'conversions': 1000})
        self.passes(guest)
        self.assertIn(-28, {one.result for one in self.conversions(guest)})

    def check_reset(self, how):
        """A reset needs no mapping beside those of all pieces."""
        guest = self.guest(
            'fragments', memory='64M', machine='q35,memory-backend=ram0',
            reboot=True, trace=False, parameters={'size': '40M'}, arguments=(
                '-object', 'memory-backend-memfd-private,id=ram0,size=64M',
                *assigned_device(self.device, how)))
        guest.launch()
        self.check_boots(guest, 4)

    def test_reset_type1(self):
        self.limit(128)
        self.check_reset('type1')

    def test_reset_iommufd(self):
        self.check_reset('iommufd')

    def test_limit_at_start(self):
        """A device is not left without memory: it is refused."""
        self.limit(16)
        guest = self.assigned('type1', {})
        with self.assertRaises(VMLaunchFailure):
            guest.launch()
        self.assertIn('could not map the shared memory of ram0: No space left '
                      'on device', guest.get_log())

    def test_map_granularity(self):
        """What is mapped is the same for all devices."""
        guest = self.assigned('type1', {})
        guest.add_args('-device',
                       f'vfio-pci,host={self.device},map-granularity=4k')
        with self.assertRaises(VMLaunchFailure):
            guest.launch()
        self.assertIn(f'vfio {self.device}: map-granularity is 4096, but must '
                      'be 2097152 as for the devices that are assigned already',
                      guest.get_log())

    def test_guest_memfd(self):
        """All memory of an ordinary VM in one guest_memfd is mapped."""
        self.needs_mapped_guest_memfd()
        self.passes(self.guest(
            'selftest', protected=False, memory='64M', cpus=2,
            machine='q35,memory-backend=ram0', arguments=(
                '-object', 'memory-backend-guest-memfd,id=ram0,size=64M',
                *assigned_device(self.device, 'iommufd'))))


class Emulated(GuestTest):
    """QEMU's own devices, and QEMU itself."""

    def emulated(self, parameters=None, **options):
        return self.guest(
            'dma', machine='q35,memory-backend=ram0', memory='64M',
            parameters=parameters or {},
            arguments=('-object',
                       'memory-backend-memfd-private,id=ram0,size=64M',
                       '-device', 'edu', '-trace',
                       'guest_memfd_manager_access_refused'), **options)

    def refused(self, guest):
        """Accesses to private memory: offset, size, and whether a write."""
        return [(int(match[1], 16), int(match[2], 16), match[3] == '1')
                for match in re.finditer(
                    r'access_refused ram0\+0x(\w+) size 0x(\w+) is_write (\d)',
                    guest.trace())]

    def test_steps(self):
        """A device that is pointed at a private page is refused, and counted."""
        guest = self.emulated()
        self.passes(guest)
        page = (16 << 20) + 4096
        self.assertEqual(self.refused(guest),
                         [(page, 2048, True), (page, 2048, False)])

    def test_conversions(self):
        guest = self.emulated({'steps': 0, 'conversions': 10000})
        self.passes(guest)
        self.assertEqual(self.refused(guest), [])

    def test_daemon(self):
        """
        A process that has mapped the guest's memory, as a vhost-user daemon
        has, sees zeroes in place of a private page.
        """
        self.needs_intent()
        guest = self.guest(
            'isolation', machine='q35,memory-backend=ram0', memory='64M',
            arguments=('-object', 'memory-backend-memfd-private,id=ram0,'
                       'size=64M'))
        guest.launch()
        shared_half, = (
            fd for fd in Path(f'/proc/{guest.get_pid()}/fd').iterdir()
            if 'memfd:memory-backend-memfd' in os.readlink(fd))
        with shared_half.open('rb') as file:
            memory = mmap.mmap(file.fileno(), 64 << 20, prot=mmap.PROT_READ)
        steps = 0
        for look in observe(guest):
            page = memory[look.gpa:look.gpa + 4096]
            if look.shared:
                self.assertIn(secret(look.gpa, look.step), page)
            else:
                self.assertEqual(page, bytes(4096))
            steps += 1
        self.assertEqual(steps, len(STEPS))
        self.check_report(guest.finish())
