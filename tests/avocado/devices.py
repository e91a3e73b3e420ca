# SPDX-License-Identifier: GPL-2.0-or-later
"""How many mappings an assigned device may have, on a real IOMMU."""

import re
from pathlib import Path

from qemu.machine.machine import VMLaunchFailure
from workbench.guest.avocado import GuestTest
from workbench.guest.guest import assigned_device

TYPE1_LIMIT = Path('/sys/module/vfio_iommu_type1/parameters/dma_entry_limit')


class Assigned(GuestTest):
    """There is one device, for one test at a time."""

    def setUp(self):
        super().setUp()
        self.old_limit = ''
        self.device = self.take_device()

    def tearDown(self):
        if self.old_limit:
            # Not as a cleanup of unittest's, which avocado does not run
            TYPE1_LIMIT.write_text(self.old_limit)
        super().tearDown()

    def assigned(self, parameters, memory='64M', how='type1', **more):
        return self.guest(
            'dma', parameters=parameters, memory=memory,
            machine='q35,memory-backend=ram0',
            arguments=('-object', 'memory-backend-memfd-private,id=ram0,'
                       f'size={memory}',
                       *assigned_device(self.device, how),
                       '-trace', 'vfio_pieces*'), **more)

    def test_few_mappings(self):
        """1 GiB takes at most 1024 of them."""
        guest = self.assigned({}, memory='1G')
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
        guest = self.assigned({'steps': 0, 'limit': 1,
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
        guest = self.assigned({})
        with self.assertRaises(VMLaunchFailure):
            guest.launch()
        self.assertIn('could not map the shared memory of ram0: No space left '
                      'on device', guest.get_log())

    def check_memory_lock(self, how):
        """A user's limit of locked memory is named."""
        guest = self.assigned({}, how=how, wrapper=(
            'setpriv', '--bounding-set', '-ipc_lock',
            'prlimit', f'--memlock={8 << 20}'))
        with self.assertRaises(VMLaunchFailure):
            guest.launch()
        self.assertIn('could not map the shared memory of ram0: Cannot '
                      'allocate memory; RLIMIT_MEMLOCK (ulimit -l) is 8 MiB, '
                      'raise it above the size of guest memory',
                      guest.get_log())

    def test_memory_lock_type1(self):
        self.check_memory_lock('type1')

    def test_memory_lock_iommufd(self):
        self.check_memory_lock('iommufd')

    def test_map_granularity(self):
        """What is mapped is the same for all devices."""
        guest = self.assigned({})
        guest.add_args('-device',
                       f'vfio-pci,host={self.device},map-granularity=4k')
        with self.assertRaises(VMLaunchFailure):
            guest.launch()
        self.assertIn(f'vfio {self.device}: map-granularity is 4096, but must '
                      'be 2097152 as for the devices that are assigned already',
                      guest.get_log())
