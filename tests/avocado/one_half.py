# SPDX-License-Identifier: GPL-2.0-or-later
"""
Of each page one half is in memory, on real KVM, whatever memory is made of.

All that can fill the shared half of private pages is tried; the judge is what
the kernel charges QEMU's cgroup.
"""

from pathlib import Path

from workbench.avocado import GuestTest

MIB = 1 << 20
BASE, SIZE = 64 * MIB, 32 * MIB
# Anonymous memory, memfds and guest_memfds; with what QEMU's heap grows by
KINDS, SLACK = ('anon', 'shmem', 'unevictable'), 4 * MIB
# All that is locked is unevictable, too; so with the page cache of QEMU's file
LOCKED_KINDS, WIDE_SLACK = ('anon', 'file'), 12 * MIB
STEPS = ('start', 'first', 'shared', 'private', 'mixed', 'back')
HUGE_PAGES = Path('/sys/kernel/mm/transparent_hugepage')


def use_huge_pages():
    """
    Have the kernel use them where it is asked to, as distributions do, but not
    for QEMU's heap (in a throw-away machine).
    """
    for name, value in (('enabled', 'madvise'), ('shmem_enabled', 'advise')):
        if (HUGE_PAGES / name).exists():
            (HUGE_PAGES / name).write_text(value)


class OneHalf(GuestTest):

    def check(self, memory=None, arguments=(), allocated=0, kinds=KINDS,
              slack=SLACK):
        """
        `memory` is the backend of what is converted, the payload itself is in
        other memory; by default both are in that of "-m" alone. `allocated` is
        how much of the test memory there is at the start.
        """
        if not HUGE_PAGES.exists():
            self.cancel('this kernel has no transparent huge pages')
        use_huge_pages()
        nodes = ('-object', 'memory-backend-ram,id=ram0,size=64M',
                 '-numa', 'node,memdev=ram0',
                 '-object', f'{memory},id=ram1,size=64M',
                 '-numa', 'node,memdev=ram1') if memory else ()
        group = self.cgroup()
        guest = self.guest(
            'halves', memory='128M', arguments=[*nodes, *arguments],
            trace=False, wrapper=group.wrapper(),
            parameters={'base': BASE, 'size': SIZE})
        used = {}
        seen = 0
        guest.launch()
        for name in STEPS:
            seen = guest.wait_for_line(f'# step {name}', seen).end()
            used[name] = group.statistics(*kinds)
            guest.send('\n')
        self.check_report(guest.finish())
        group.remove()
        self.log.info('used, MiB: %s', {name: value // MIB
                                        for name, value in used.items()})
        for name in STEPS[1:]:
            grown = used[name] - used['start'] + allocated
            self.assertGreater(grown, SIZE // 2, name)
            self.assertLess(grown, SIZE + slack, name)
            # What QEMU needed to start may be gone by then
            self.assertLess(used[name], used['first'] + slack, name)

    def test_memory_alone(self):
        self.check()

    def test_anonymous(self):
        self.check('memory-backend-ram')

    def test_anonymous_shared(self):
        self.check('memory-backend-ram,share=on')

    def test_memfd(self):
        self.check('memory-backend-memfd')

    def test_memfd_private(self):
        self.check('memory-backend-memfd-private')

    def test_private_first(self):
        self.check('memory-backend-memfd-private,initial=private')

    def test_private_file(self):
        """Each page that is written is copied."""
        path = self.directory / 'file'
        contents = b'template' * (64 * MIB // 8)
        path.write_bytes(contents)
        # What is read of the file is not the guest's
        self.check(f'memory-backend-file,mem-path={path},share=off',
                   kinds=('anon', 'unevictable'), slack=WIDE_SLACK)
        self.assertTrue(path.read_bytes() == contents)

    def test_prealloc(self):
        self.check('memory-backend-ram,prealloc=on', allocated=SIZE)

    def check_locked(self, memory=None):
        self.check(memory, ['-overcommit', 'mem-lock=on'], kinds=LOCKED_KINDS,
                   slack=WIDE_SLACK)

    def test_mem_lock(self):
        self.check_locked()

    def test_mem_lock_private(self):
        self.check_locked('memory-backend-memfd-private,initial=private')
