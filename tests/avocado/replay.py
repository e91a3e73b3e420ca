# SPDX-License-Identifier: GPL-2.0-or-later
"""What KVM and a guest did can be done again without them, to the same end."""

from workbench.avocado import GuestTest
from workbench.replay import from_trace, run_file


class Replay(GuestTest):

    def check(self, payload, **options):
        guest = self.guest(payload, **options)
        self.passes(guest)
        text, run = from_trace(guest.trace())
        self.assertFalse(run.moved)
        self.assertGreater(len(run.steps), 0)
        file = self.directory / 'steps'
        file.write_text(text)
        self.assertEqual(run_file(file), '')

    def test_explicit(self):
        self.check('mixed')

    def test_implicit(self):
        self.needs_intent()
        self.check('convert', parameters={'how': 'implicit'})
