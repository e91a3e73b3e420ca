# SPDX-License-Identifier: GPL-2.0-or-later
"""DIMMs come and go while pages are in both states, on real KVM."""

import os
import time

from workbench.guest.avocado import GuestTest
from workbench.machine.surroundings import nightly

MIB, GIB = 1 << 20, 1 << 30
FIRST = 3       # DIMMs that the payload has anyway, see hotplug.c


class Dimms(GuestTest):

    starts_private = False

    def hotplug(self, qom_type, payload='hotplug', cycles=0, each=None,
                allocate=False, **options):
        """
        The steps are those of the payload; `each` is called
        whenever a DIMM is gone.  QEMU may `allocate` what is private of a DIMM
        while the guest uses it.
        """
        guest = self.guest(payload, memory='256M,slots=1,maxmem=2G',
                           parameters={'cycles': cycles}, **options)
        guest.launch()
        seen = 0

        def wait_for_step(name):
            nonlocal seen
            seen = guest.wait_for_line(f'# step {name}', seen).end()

        def plug(memory, address):
            wait_for_step('plug')
            backends = {backend['id'] for backend in guest.cmd('query-memdev')}
            is_new = memory not in backends
            if is_new:
                for old in backends:
                    if old.startswith('ram'):
                        guest.cmd('object-del', id=old)
                guest.cmd('object-add', **{
                    'qom-type': qom_type, 'id': memory, 'size': 128 * MIB,
                    'private-prealloc-async': allocate})
            guest.cmd('device_add', driver='pc-dimm', id='dimm0',
                      memdev=memory, addr=address)
            # The other payload converts it as soon as it is there
            if is_new and payload == 'hotplug':
                block, = (block for block in
                          guest.cmd('query-private-memory')['blocks']
                          if block['id'] == memory)
                self.assertEqual(block['private'],
                                 self.starts_private * 128 * MIB)
            guest.send('\n')
            if allocate:
                guest.cmd('qom-set', path=f'/objects/{memory}',
                          property='private-prealloc', value=True)

        def unplug():
            wait_for_step('unplug')
            guest.cmd('device_del', id='dimm0')
            wait_for_step('unplugged')
            gone = guest.event_wait('DEVICE_DELETED', timeout=30.0,
                                    match={'data': {'device': 'dimm0'}})
            self.assertIsNotNone(gone)
            if each:
                each(guest)
            guest.send('\n')

        dimms = [('ram0', 4 * GIB), ('ram0', 4 * GIB + 512 * MIB),
                 ('ram1', 4 * GIB)]
        dimms += [(f'ram{number % 2}', 4 * GIB) for number in range(cycles)]
        for memory, address in dimms:
            plug(memory, address)
            unplug()
        self.check_report(guest.finish())


class Hotplug(Dimms):

    def test_hotplug(self):
        """
        A DIMM leaves no private attribute behind, and takes its state along.
        """
        self.hotplug('memory-backend-ram')

    def test_hotplug_named(self):
        self.hotplug('memory-backend-memfd-private')

    def test_hotplug_often(self):
        """Many DIMMs, one after the other, leave nothing behind."""
        group = self.cgroup()
        cycles = 100 if nightly() else 30
        used = []

        def look(guest):
            fds = len(os.listdir(f'/proc/{guest.get_pid()}/fd'))
            # Without the page cache
            return fds, group.statistics('anon', 'shmem', 'unevictable',
                                         'kernel')

        def nothing_left():
            # Caches fill in the first ones
            (fds, memory), (fds_after, memory_after) = used[10], used[-1]
            return fds_after <= fds + 2 and memory_after - memory < MIB

        def gone(guest):
            used.append(look(guest))
            # RCU closes the two files of a DIMM, and frees memory, some time
            # after it is gone
            deadline = time.monotonic() + 60
            while len(used) == FIRST + cycles and not nothing_left() and \
                    time.monotonic() < deadline:
                time.sleep(0.1)
                used[-1] = look(guest)

        self.hotplug('memory-backend-memfd-private', cycles=cycles, each=gone,
                     trace=False, wrapper=group.wrapper())
        group.remove()
        self.assertEqual(len(used), FIRST + cycles)
        self.assertTrue(nothing_left(), used)


class Eject(Dimms):

    def test_eject(self):
        """DIMMs come and go while three CPUs convert their pages, and QEMU
        allocates them."""
        self.hotplug('memory-backend-memfd-private', payload='eject', cpus=4,
                     cycles=30 if nightly() else 6, trace=False, allocate=True)


class SnpHotplug(Hotplug):
    vm_type = 'sev-snp'
    starts_private = True


class TdxHotplug(Hotplug):
    vm_type = 'tdx'
    starts_private = True
