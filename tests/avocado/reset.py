# SPDX-License-Identifier: GPL-2.0-or-later
"""After a reset memory is shared and private halves are empty, on real KVM."""

from workbench.guest.avocado import GuestTest


class Reset(GuestTest):

    def test_reset(self):
        """By QMP, by a triple fault, by the reset control register."""
        guest = self.guest('reset', reboot=True)
        guest.launch()
        guest.wait_for_line('# step reset')
        guest.cmd('system_reset')
        self.check_boots(guest, 4)

    def test_reset_in_dump(self):
        """A dump that ends amid a reset does not let vCPUs run until the reset
        is done."""
        guest = self.guest('busy', cpus=4, memory='64M', reboot=True,
                           trace=False)
        guest.launch()
        guest.wait_for_line('# busy')
        guest.event_wait('RESUME', timeout=60)
        for _ in range(20):
            guest.cmd('dump-guest-memory', paging=False, detach=True,
                      protocol='file:/dev/null')
            while guest.cmd('query-dump')['status'] == 'active':
                guest.cmd('system_reset')
            self.assertIsNotNone(guest.event_wait('RESUME', timeout=60))
        self.assertEqual(guest.cmd('query-status')['status'], 'running')
        guest.cmd('quit')
        guest.wait()


class OrdinaryReset(GuestTest):

    vm_type = 'ordinary'

    def test_vapic(self):
        """
        Writes to the port of the virtual APIC do not make a reset wait for ever.

        Each reset is one try to have both at the same moment.
        """
        guest = self.guest('vapic', cpus=3, reboot=True)
        guest.launch()
        self.check_boots(guest, 21)
