# SPDX-License-Identifier: GPL-2.0-or-later
"""A poisoned private page is the guest's to deal with, on real KVM."""

import errno
from array import array
from pathlib import Path

from workbench.avocado import GuestTest

CORRUPT = Path('/sys/kernel/debug/hwpoison/corrupt-pfn')
PAGE_FLAGS = Path('/proc/kpageflags')       # Documentation/admin-guide/mm
UNEVICTABLE = 1 << 18


def unevictable() -> set[int]:
    """
    Page frames that cannot be evicted.

    Pages of a guest_memfd are among them.  Nobody has them mapped, so that
    there is no other way to learn where they are.
    """
    flags = array('Q')
    with PAGE_FLAGS.open('rb', buffering=0) as file:
        # The kernel takes no other sizes than multiples of an entry's
        while chunk := file.read(1 << 16):
            flags.frombytes(chunk)
    return {frame for frame, flag in enumerate(flags) if flag & UNEVICTABLE}


def poison(frame: int) -> None:
    # Not through a buffer, which would write again when it is closed
    with CORRUPT.open('wb', buffering=0) as file:
        try:
            file.write(f'{frame:#x}'.encode())
        except OSError as error:
            # It is poisoned, but guest_memfd does not let go of it
            if error.errno != errno.EBUSY:
                raise


class Poison(GuestTest):

    def poison_page(self, guest) -> None:
        """Poison one of the pages that the guest makes private."""
        if not CORRUPT.exists():
            self.cancel('this kernel cannot poison pages '
                        '(CONFIG_HWPOISON_INJECT)')
        guest.launch()
        guest.wait_for_line('# step before')
        before = unevictable()
        guest.send('\n')
        guest.wait_for_line('# step poison')
        new = unevictable() - before
        # The kernel marks them in batches, so not all of the guest's 256
        self.assertGreater(len(new), 100, 'pages of guest_memfd')
        poison(sorted(new)[len(new) // 2])
        guest.send('\n')

    def test_poison(self):
        """
        The guest gets a machine check; without any, the VM stops, cleanly.

        One after the other: which pages are new tells nothing while two guests
        make memory private.
        """
        guest = self.guest('poison')
        self.poison_page(guest)
        event = guest.event_wait('MEMORY_FAILURE', timeout=60)
        self.assertEqual(event['data']['recipient'], 'guest')
        self.assertEqual(event['data']['action'], 'inject')
        event = guest.event_wait('PRIVATE_MEMORY_POISONED', timeout=60)
        self.assertTrue(event['data']['injected'])
        self.check_report(guest.finish())

        guest = self.guest('poison', arguments=('-cpu', 'qemu64,-mce'))
        self.poison_page(guest)
        event = guest.event_wait('MEMORY_FAILURE', timeout=60)
        self.assertEqual(event['data']['action'], 'fatal')
        self.assertIsNotNone(guest.event_wait('STOP', timeout=60))
        self.assertEqual(guest.cmd('query-status')['status'], 'internal-error')
