# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's firmware and kernel as SEV-SNP guests, as they are.

The emulated CPU knows their C-bit, so it is KVM's and QEMU's own code that
converts what they access.  There is no #VC (tests/kernel/soft-snp.patch).
"""

import hashlib
import os
import re

from workbench.guest import debian_guest
from workbench.guest.avocado import GuestTest
from workbench.guest.guest import Guest

MIB = 1 << 20
BOOT_LIMIT = 500        # seconds; it takes a tenth of it on an idle machine
LIST_PAGES = 253        # that one request of the guest can name


class Debian(GuestTest):

    timeout = 600
    vm_type = 'sev-snp-c-bit'

    def firmware(self, *arguments: str, **options) -> Guest:
        """A guest that starts with OVMF, launched."""
        guest = self.guest('c-bit', memory='512M', arguments=[
            '-cpu', 'host', '-bios', os.environ['QMP_OVMF'], *arguments],
            **options)
        guest.launch()
        return guest

    def check_conversions(self, guest: Guest) -> None:
        """It asks for all but one: it uses the page of its first GHCB before
        it asks."""
        done = self.conversions(guest)
        self.assertEqual({one.result for one in done}, {0})
        self.assertEqual([(one.flags, one.to_private) for one in done
                          if one.flags is not None], [(0, False)])
        asked = [one for one in done if one.flags is None]
        self.assertEqual({one.to_private for one in asked}, {False, True})
        self.assertIn(LIST_PAGES * 4096, {one.size for one in asked})

    def test_ovmf(self):
        """Debian's firmware comes to its shell."""
        guest = self.firmware()
        guest.wait_for_line('.*UEFI Interactive Shell.*', limit=BOOT_LIMIT)
        self.check_conversions(guest)

    def test_linux(self):
        """Debian's kernel: two CPUs, a network and a disk."""
        disk = self.directory / 'disk'
        content = os.urandom(MIB // 2) + bytes(MIB // 2)
        disk.write_bytes(content)
        guest = self.firmware(
            *debian_guest.arguments(self.directory),
            '-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0',
            '-drive', f'if=none,id=d0,format=raw,file={disk}',
            '-device', 'virtio-blk-pci,drive=d0', cpus=2)
        guest.wait_for_line('init: done', limit=BOOT_LIMIT)
        guest.finish()
        said = guest.serial()
        self.assertRegex(said, 'Memory Encryption Features active: .*SEV-SNP')
        self.assertIn('init: cpus 2', said)
        self.assertIn('init: network', said)
        self.assertIn('init: disk ' + hashlib.md5(content).hexdigest(), said)
        self.assertIn('init: written', said)
        self.assertEqual(disk.read_bytes(), content.replace(b'\0', b'x'))
        self.assertFalse(re.findall('init: no .*', said))
        self.check_conversions(guest)
