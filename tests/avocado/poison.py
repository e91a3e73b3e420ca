# SPDX-License-Identifier: GPL-2.0-or-later
"""A poisoned private page is the guest's to deal with, on real KVM."""

import errno
from array import array
from collections.abc import Iterator
from pathlib import Path

from workbench.guest.avocado import GuestTest
from workbench.guest.guest import Guest
from workbench.guest.memcg import MemoryCgroup

CORRUPT = Path('/sys/kernel/debug/hwpoison/corrupt-pfn')
PAGE_FLAGS = Path('/proc/kpageflags')       # Documentation/admin-guide/mm
PAGE_CGROUPS = Path('/proc/kpagecgroup')
UNEVICTABLE = 1 << 18
DROP_CACHES = Path('/proc/sys/vm/drop_caches')


def page_frames(path: Path) -> Iterator[int]:
    """What one of the kernel's files says of each page frame."""
    values = array('Q')
    with path.open('rb', buffering=0) as file:
        # The kernel takes no other sizes than multiples of an entry's
        while chunk := file.read(1 << 16):
            values.frombytes(chunk)
    return iter(values)


def private_frames(group: MemoryCgroup) -> list[int]:
    """
    Page frames of guest_memfds of the processes in a cgroup.

    Nobody has them mapped, so that there is no other way to learn where they
    are; but they are charged to who allocated them, and cannot be evicted.
    """
    # The kernel marks them in batches, and ends these before it drops anything
    DROP_CACHES.write_text('1')
    inode = group.path.stat().st_ino
    return [frame for frame, (owner, flags) in
            enumerate(zip(page_frames(PAGE_CGROUPS), page_frames(PAGE_FLAGS)))
            if owner == inode and flags & UNEVICTABLE]


def poison(frame: int) -> None:
    # Not through a buffer, which would write again when it is closed
    with CORRUPT.open('wb', buffering=0) as file:
        try:
            file.write(f'{frame:#x}'.encode())
        except OSError as error:
            # It is poisoned, but guest_memfd does not let go of it
            if error.errno != errno.EBUSY:
                raise


class PoisonTest(GuestTest):

    def poisoned(self, payload='poison', **options) -> Guest:
        """A guest, launched, one of whose private pages is then poisoned."""
        if not CORRUPT.exists():
            self.cancel('this kernel cannot poison pages '
                        '(CONFIG_HWPOISON_INJECT)')
        group = self.cgroup()
        guest = self.guest(payload, wrapper=group.wrapper(), **options)
        guest.launch()
        guest.wait_for_line('# step before')
        # All that an SEV-SNP guest or a TD uses is private; to look takes a second
        before = set(private_frames(group)) \
            if self.vm_type in ('sev-snp', 'tdx') else set()
        guest.send('\n')
        guest.wait_for_line('# step poison')
        frames = [frame for frame in private_frames(group)
                  if frame not in before]
        # A few of the guest's 256 may not be marked yet
        self.assertGreater(len(frames), 100, 'pages of guest_memfd')
        self.assertLessEqual(len(frames), 256)
        poison(frames[len(frames) // 2])
        guest.send('\n')
        return guest

    def stops(self, guest: Guest, *, injected: int) -> None:
        """
        The VM stops for good, and the monitor says why.

        The guest gets that many machine checks before.
        """
        self.assertIsNotNone(guest.event_wait('STOP', timeout=60))
        self.assertEqual(guest.cmd('query-status')['status'], 'internal-error')
        actions = []
        while event := guest.event_wait('MEMORY_FAILURE', timeout=0):
            actions.append(event['data']['action'])
        self.assertEqual(actions, ['inject'] * injected + ['fatal'])
        event = guest.event_wait('PRIVATE_MEMORY_POISONED', timeout=0)
        self.assertEqual(event['data']['injected'], injected > 0)


class Poison(PoisonTest):

    def test_poison(self):
        """The guest gets a machine check."""
        guest = self.poisoned()
        event = guest.event_wait('MEMORY_FAILURE', timeout=60)
        self.assertEqual(event['data']['recipient'], 'guest')
        self.assertEqual(event['data']['action'], 'inject')
        event = guest.event_wait('PRIVATE_MEMORY_POISONED', timeout=60)
        self.assertTrue(event['data']['injected'])
        self.check_report(guest.finish())
        self.assertRegex(guest.get_log(), 'Private memory at guest-physical '
                         'address .* is poisoned; the guest got a machine '
                         'check')

    def test_no_machine_check(self):
        """Without any, the VM stops, cleanly."""
        guest = self.poisoned(arguments=('-cpu', 'qemu64,-mce'))
        self.stops(guest, injected=0)

    def test_disabled(self):
        """Nor can a guest be told that does not want to be."""
        guest = self.poisoned(parameters={'how': 'disable'})
        self.stops(guest, injected=0)

    def test_repeated(self):
        """A guest that does not listen is not told for ever."""
        guest = self.poisoned(parameters={'how': 'repeat'})
        self.stops(guest, injected=7)
        guest.shutdown(hard=True)
        self.assertRegex(guest.get_log(), 'Private memory at guest-physical '
                         'address .* is poisoned, and the guest goes on to '
                         'use it')

    def test_crowd(self):
        """All CPUs meet the page together, and each has a machine check sent to
        all of them: whatever becomes of the guest, QEMU goes on."""
        guest = self.poisoned('crowd', cpus=2,
                              arguments=('-cpu', 'Haswell,vendor=GenuineIntel'))
        # It may be reset, as machine checks within one another are fatal
        guest.finish()


class SnpPoison(PoisonTest):
    vm_type = 'sev-snp'

    def test_poison(self):
        """A machine check is a change of registers, so the VM stops."""
        self.stops(self.poisoned(), injected=0)


class TdxPoison(PoisonTest):
    vm_type = 'tdx'

    def test_poison(self):
        """Nobody can give a TD a machine check, so the VM stops."""
        self.stops(self.poisoned(), injected=0)
