# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that asks for much at once, while somebody waits for its CPU, on
real KVM."""

from workbench.guest.avocado import GuestTest
from workbench.guest.guest import Guest

MIB = 1 << 20
BASE, SIZE, RUN = 64 * MIB, 384 * MIB, 64 << 10
TRIES = 500


class Large(GuestTest):

    def large(self, **options) -> Guest:
        guest = self.guest('large', memory='512M', trace=False, parameters={
            'base': BASE, 'size': SIZE, 'run': RUN, 'count': 15}, **options)
        guest.launch()
        return guest

    def ranges(self, guest: Guest) -> list[tuple[int, bool]]:
        """Sizes and states of what comes first."""
        found = guest.cmd('query-private-memory-ranges', start=BASE, size=SIZE,
                          limit=4)['ranges']
        return [(one['size'], one['private']) for one in found]

    def stop_amid_conversion(self, guest: Guest) -> None:
        """
        Stop the VM until that happens in the middle of a large request.

        Before it every other run is private, and after it all of them are.
        """
        for _ in range(TRIES):
            guest.cmd('stop')
            self.assertIsNotNone(guest.event_wait('STOP', timeout=60))
            first, private = self.ranges(guest)[0]
            if private and RUN < first < SIZE:
                return
            guest.cmd('cont')
        self.fail(f'{TRIES} times the VM did not stop before all of a request '
                  'was converted')

    def check_end(self, guest: Guest) -> None:
        guest.wait_for_line('# step done', limit=200)
        self.assertEqual(self.ranges(guest), [(SIZE, True)])
        guest.send('\n')

    def test_stop(self):
        """What is left is converted when the VM goes on."""
        guest = self.large()
        for _ in range(3):
            self.stop_amid_conversion(guest)
            before = self.ranges(guest)
            # Makes QEMU read, and later write, registers
            guest.cmd('human-monitor-command', command_line='info registers')
            self.assertEqual(self.ranges(guest), before)
            guest.cmd('cont')
        self.check_end(guest)
        self.check_report(guest.finish())

    def test_reset(self):
        """What is left is not converted after a reset, and nobody answers."""
        guest = self.large(reboot=True)
        for _ in range(3):
            self.stop_amid_conversion(guest)
            guest.cmd('system_reset')
            self.assertEqual(self.ranges(guest), [(SIZE, False)])
            guest.cmd('cont')
        self.check_end(guest)
        self.check_boots(guest, 4)
