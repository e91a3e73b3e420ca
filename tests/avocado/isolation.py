# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host sees of shared and private pages."""

import mmap
import os
from pathlib import Path

from workbench.guest.avocado import GuestTest
from workbench.guest.isolation import STEPS, observe, secret


class Isolation(GuestTest):

    def test_daemon(self):
        """
        A process that has mapped the guest's memory, as a vhost-user daemon
        has, sees zeroes in place of a private page.
        """
        self.needs_intent()
        guest = self.guest(
            'isolation', machine='q35,memory-backend=ram0', memory='64M',
            arguments=('-object', 'memory-backend-memfd-private,id=ram0,'
                       'size=64M'))
        guest.launch()
        shared_half, = (
            fd for fd in Path(f'/proc/{guest.get_pid()}/fd').iterdir()
            if 'memfd:memory-backend-memfd' in os.readlink(fd))
        with shared_half.open('rb') as file:
            memory = mmap.mmap(file.fileno(), 64 << 20, prot=mmap.PROT_READ)
        steps = 0
        for look in observe(guest):
            page = memory[look.gpa:look.gpa + 4096]
            if look.shared:
                self.assertIn(secret(look.gpa, look.step), page)
            else:
                self.assertEqual(page, bytes(4096))
            steps += 1
        self.assertEqual(steps, len(STEPS))
        self.check_report(guest.finish())

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


class SnpIsolation(Isolation):
    vm_type = 'sev-snp'


class SnpCBitIsolation(Isolation):
    vm_type = 'sev-snp-c-bit'


class TdxIsolation(Isolation):
    vm_type = 'tdx'
