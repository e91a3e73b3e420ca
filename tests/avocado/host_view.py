# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host sees of shared and private pages."""

from workbench.avocado import GuestTest
from workbench.isolation import STEPS, observe


class HostView(GuestTest):

    def test_secrets(self):
        """A secret in a private page is nowhere in the host's view."""
        self.needs_intent()
        guest = self.guest('isolation')
        guest.launch()
        seen = list(observe(guest))
        self.assertEqual([look.step for look in seen], list(STEPS))
        for look in seen:
            with self.subTest(step=look.step):
                self.assertEqual(look.refused, not look.shared,
                                 'what QEMU says of it')
                self.assertEqual(look.in_page, look.shared,
                                 'the page itself')
                self.assertEqual(look.in_memory, look.shared,
                                 'all of memory')
        self.check_report(guest.finish())
