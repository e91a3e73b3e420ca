# SPDX-License-Identifier: GPL-2.0-or-later
"""All CPUs convert at the same time, on real KVM."""

import struct

from workbench.guest.avocado import GuestTest
from workbench.machine.surroundings import nightly

# For more use "avocado run -p conversions=N"
CONVERSIONS = 200_000 if nightly() else 50_000
# Seconds for the storm: 50,000 take 140 beside many other programs
LIMIT = 250 * CONVERSIONS // 50_000


class Storm(GuestTest):

    timeout = LIMIT + 50
    cpus = 4

    def test_storm(self):
        """
        Own pages, contents checked each time, and the same few pages.

        In the end the host sees what the guest wrote, so that QEMU, KVM and
        the guest agree on the state.
        """
        conversions = self.params.get('conversions', default=CONVERSIONS)
        guest = self.guest('storm', cpus=self.cpus, trace=False,
                           parameters={'conversions': conversions})
        guest.launch()
        start, size = guest.wait_for_look(LIMIT)
        words = struct.unpack(f'<{size // 8}Q',
                              guest.physical_memory(start, size))
        self.assertEqual([hex(word) for number, word in enumerate(words)
                          if word != start + 8 * number], [])
        guest.send('\n')
        self.check_report(guest.finish())


class StormReset(GuestTest):

    def test_reset_in_storm(self):
        """While all CPUs convert their own pages, then while they collide."""
        guest = self.guest('storm', cpus=4, reboot=True, trace=False,
                           parameters={'resets': 2, 'conversions': 1000})
        guest.launch()
        seen = 0
        for _ in range(2):
            seen = guest.wait_for_line('# in the storm', seen).end()
            guest.cmd('system_reset')
        guest.wait_for_line('# step look .*', seen)
        guest.send('\n')
        self.check_boots(guest, 3)


class SnpStorm(Storm):
    vm_type = 'sev-snp'


class TdxStorm(Storm):
    vm_type = 'tdx'
    cpus = 2        # as many as the emulated machine has
