# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest whose memory is private from the start does not wait for it, on real
KVM."""

import re

from workbench.avocado import GuestTest
from workbench.console import ConsoleMachine

MIB = 1 << 20
GIB = 1 << 30
BACKEND = 'memory-backend-memfd-private'
CHUNK = 64 * MIB        # as QEMU's GUEST_MEMFD_CHUNK_SIZE
OWN = 64 * MIB          # what the payload is in


class Lazy(GuestTest):

    def private(self, size, options='', **parameters):
        """A guest that has so many bytes of private memory."""
        return self.guest(
            'lazy', memory=f'{(size + OWN) // MIB}M', parameters=parameters,
            arguments=[
                '-object', f'{BACKEND},id=own,size={OWN}',
                '-object', f'{BACKEND},id=private,size={size},'
                f'initial=private{options}',
                '-numa', 'node,memdev=own', '-numa', 'node,memdev=private',
                '-trace', 'guest_memfd_manager_settle',
                '-trace', 'guest_memfd_manager_apply',
                '-trace', 'kvm_settle_pending_memory'])

    def settled(self, guest):
        """Offsets of the chunks that KVM has been told of."""
        return [int(offset, 16) for offset in re.findall(
            r'guest_memfd_manager_settle private\+(0x\w+) .* ret 0',
            guest.trace())]

    def check_all_private(self, guest, size):
        """The manager knows that it is, whatever KVM knows."""
        block, = (block for block in
                  guest.cmd('query-private-memory')['blocks']
                  if block['id'] == 'private')
        self.assertEqual(block['private'], size)

    def test_start(self):
        """
        Nothing is set before the first instruction, however much there is.

        The guest does not say what it means, so that KVM is told of all that
        is below what it uses.
        """
        guest = self.private(GIB, chunk=CHUNK)
        ConsoleMachine.launch(guest)
        self.assertEqual(self.settled(guest), [])
        self.check_all_private(guest, GIB)
        guest.cmd('cont')
        self.check_report(guest.finish())
        self.assertEqual(sorted(self.settled(guest)),
                         list(range(0, GIB, CHUNK)))
        # The top is found in a few steps
        steps = guest.trace().count('kvm_settle_pending_memory')
        self.assertGreater(steps, 1)
        self.assertLess(steps, 8)

    def test_intent(self):
        """KVM is told of what the guest uses, if the guest says what it is."""
        self.needs_intent()
        guest = self.private(16 * GIB, intent=1)
        self.passes(guest)
        # Bottom, top, and where memory becomes shared
        self.assertEqual(len(self.settled(guest)), 3)
        self.assertNotIn('kvm_settle_pending_memory', guest.trace())

    def test_off(self):
        """All is set before the first instruction."""
        guest = self.private(GIB, options=',lazy=off')
        self.passes(guest)
        self.assertEqual(self.settled(guest), [])
