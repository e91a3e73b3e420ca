# SPDX-License-Identifier: GPL-2.0-or-later
"""A private access to what cannot be private, on real KVM."""

from workbench.guest.avocado import GuestTest

FAULT_EVENT = 'PRIVATE_MEMORY_FAULT'


class Faults(GuestTest):

    def test_impossible_accesses(self):
        """
        It stops the VM, with a reason.

        QEMU must not try for ever, although another CPU converts memory all
        the while.  It stays usable, and so is the VM after a reset.
        """
        self.needs_intent()
        guest = self.guest('faults', cpus=2, reboot=True)
        guest.launch()
        seen = 0
        for target, gpa in (('hole', 0x20000000), ('mmio', 0xfed00000),
                            ('rom', 0xd0000)):
            seen = guest.wait_for_line(f'# touching {target}', seen).end()
            stop = guest.event_wait('STOP', timeout=30.0)
            self.assertIsNotNone(stop)
            self.assertEqual(guest.cmd('query-status')['status'],
                             'internal-error')
            fault = guest.event_wait(FAULT_EVENT, timeout=10.0)
            self.assertEqual(fault['data']['gpa'], gpa)
            guest.cmd('system_reset')
            guest.cmd('cont')
        self.check_boots(guest, 4)
