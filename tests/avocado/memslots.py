# SPDX-License-Identifier: GPL-2.0-or-later
"""Memslots come and go while pages are in both states, on real KVM."""

from workbench.avocado import GuestTest

MIB, GIB = 1 << 20, 1 << 30


class Memslots(GuestTest):

    def test_pam(self):
        """RAM and ROM change places below 1 MiB."""
        self.passes(self.guest('pam', cpus=2))

    def test_pam_pc(self):
        self.passes(self.guest('pam', cpus=2, machine='pc'))

    def test_hotplug(self):
        """
        A DIMM leaves no private attribute behind, and takes its state along.
        """
        self.hotplug('memory-backend-ram')

    def test_hotplug_named(self):
        self.hotplug('memory-backend-memfd-private')

    def hotplug(self, qom_type):
        """The steps are those of the payload."""
        guest = self.guest('hotplug', memory='256M,slots=1,maxmem=2G')
        guest.launch()
        seen = 0

        def wait_for_step(name):
            nonlocal seen
            seen = guest.wait_for_line(f'# step {name}', seen).end()

        for memory, address in (('ram0', 4 * GIB),
                                ('ram0', 4 * GIB + 512 * MIB),
                                ('ram1', 4 * GIB)):
            wait_for_step('plug')
            backends = {backend['id']: backend
                        for backend in guest.cmd('query-memdev')}
            if memory not in backends:
                for old in backends:
                    if old.startswith('ram'):
                        guest.cmd('object-del', id=old)
                guest.cmd('object-add', qom_type=qom_type, id=memory,
                          size=128 * MIB)
            guest.cmd('device_add', driver='pc-dimm', id='dimm0',
                      memdev=memory, addr=address)
            guest.send('\n')
            wait_for_step('unplug')
            guest.cmd('device_del', id='dimm0')
            wait_for_step('unplugged')
            gone = guest.event_wait('DEVICE_DELETED', timeout=30.0,
                                    match={'data': {'device': 'dimm0'}})
            self.assertIsNotNone(gone)
            guest.send('\n')
        self.check_report(guest.finish())
