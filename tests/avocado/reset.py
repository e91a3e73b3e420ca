# SPDX-License-Identifier: GPL-2.0-or-later
"""After a reset memory is shared and private halves are empty, on real KVM."""

from workbench.avocado import GuestTest


class Reset(GuestTest):

    def test_reset(self):
        """By QMP, by a triple fault, by the reset control register."""
        guest = self.guest('reset', reboot=True)
        guest.launch()
        guest.wait_for_line('# step reset')
        guest.cmd('system_reset')
        self.check_boots(guest, 4)
