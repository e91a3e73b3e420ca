# SPDX-License-Identifier: GPL-2.0-or-later
"""memory-backend-memfd-private, on real KVM."""

from pathlib import Path

from qemu.qmp.qmp_client import ExecuteError
from workbench.base.paths import REPO
from workbench.guest.avocado import GuestTest
from workbench.guest.guest import HALVES_STEPS, PAYLOADS

MIB = 1 << 20
BACKEND = 'memory-backend-memfd-private'
# What the payload uses; the rest of the memory is the payload's own
BASE, SIZE = 64 * MIB, 64 * MIB
# What the kernel counts late
SLACK = 3 * MIB
NR_HUGEPAGES = Path('/proc/sys/vm/nr_hugepages')
HUGE_PAGE = 2 * MIB
CONFIGS = REPO / 'configs' / 'vm'


def free_huge_pages():
    for line in Path('/proc/meminfo').read_text().splitlines():
        if line.startswith('HugePages_Free:'):
            return int(line.split()[1])
    return 0


def halves(group):
    """Bytes in both halves: a memfd's pages, and a guest_memfd's."""
    return group.statistics('shmem', 'unevictable')


class Backend(GuestTest):

    def two_nodes(self, options, **more):
        """
        The payload is in ordinary memory, what it converts in a backend with
        these options.
        """
        return self.guest('halves', memory='128M', arguments=[
            '-object', f'{BACKEND},id=ram0,size=64M', '-numa',
            'node,memdev=ram0', '-object',
            f'{BACKEND},id=ram1,size=64M{options}', '-numa',
            'node,memdev=ram1'], parameters={'base': BASE, 'size': SIZE},
            **more)

    def steps(self, guest, action):
        """Call `action` with the name of each step, at that step."""
        seen = 0
        for name in HALVES_STEPS:
            seen = guest.wait_for_line(f'# step {name}', seen).end()
            action(name)
            guest.send('\n')
        self.check_report(guest.finish())

    # What its own properties do

    def check_first(self, options, visible):
        """Whether the host sees what the guest writes before it converts."""
        guest = self.two_nodes(options)

        def look(name):
            if name == 'first' and visible:
                word = int.from_bytes(guest.physical_memory(BASE, 8), 'little')
                self.assertEqual(word, BASE)
            elif name == 'first':
                with self.assertRaisesRegex(ExecuteError, 'is private'):
                    guest.physical_memory(BASE, 8)

        guest.launch()
        self.steps(guest, look)

    def test_initial_auto(self):
        self.check_first('', visible=True)

    def test_initial_shared(self):
        self.check_first(',initial=shared', visible=True)

    def test_initial_private(self):
        self.check_first(',initial=private', visible=False)

    def test_discard_at_run_time(self):
        """What was kept is freed soon."""
        group = self.cgroup()
        guest = self.two_nodes(',discard=none', wrapper=group.wrapper())
        used = {}

        def now():
            return halves(group) - used.get('start', 0)

        def look(name):
            if name == 'mixed':
                used['before'] = now()
                guest.cmd('qom-set', path='/objects/ram1', property='discard',
                          value='both')
                guest.wait_until(lambda: now() <= SIZE + SLACK, 60,
                                 'the end of what was kept')
            used[name] = now()

        guest.launch()
        self.steps(guest, look)
        group.remove()
        self.log.info('used, MiB: %s', {name: value // MIB
                                        for name, value in used.items()})
        self.assertGreater(used['before'], 2 * SIZE - SLACK)
        for name in ('mixed', 'back'):
            self.assertLess(used[name], SIZE + SLACK, name)

    # Allocation in the background: "The start takes minutes" otherwise

    def allocation(self, guest, path):
        for block in guest.cmd('query-private-memory')['blocks']:
            if block.get('backend') == path:
                return block['allocation']
        self.fail(f'there is no block of {path}')

    def wait_for_allocation(self, guest, path, ended):
        """Wait until `ended` says so of the allocation, and return that."""
        guest.wait_until(lambda: ended(self.allocation(guest, path)), 60,
                         f'the allocation of {path}')
        return self.allocation(guest, path)

    def test_prealloc_async(self):
        """The guest runs meanwhile; what is shared has no private half."""
        group = self.cgroup()
        guest = self.two_nodes(
            ',initial=private,private-prealloc=on,private-prealloc-async=on',
            wrapper=group.wrapper())
        used = {}

        def look(name):
            if name != 'start':
                guest.cmd('qom-set', path='/objects/ram1',
                          property='private-prealloc', value=True)
            allocation = self.wait_for_allocation(
                guest, '/objects/ram1', lambda a: a['status'] != 'running')
            self.assertEqual(allocation, {
                'status': 'finished', 'done': SIZE, 'total': SIZE})
            used[name] = halves(group)

        guest.launch()
        self.steps(guest, look)
        group.remove()
        self.log.info('used, MiB: %s', {name: value // MIB
                                        for name, value in used.items()})
        self.assertGreater(used['start'], SIZE - SLACK)
        for name, value in used.items():
            self.assertAlmostEqual(value, used['start'], delta=SLACK, msg=name)

    def test_prealloc_async_interrupted(self):
        """The monitor shows how far it is, and can end it."""
        size = 1024 * MIB
        path = '/objects/ram9'
        group = self.cgroup()
        guest = self.guest('halves', wrapper=group.wrapper())
        guest.launch()
        guest.wait_for_line('# step start')
        # From here on the kernel slows down those who allocate
        limit = halves(group) + 64 * MIB
        (group.path / 'memory.high').write_text(str(limit))
        guest.cmd('object-add', **{
            'qom-type': BACKEND, 'id': 'ram9', 'size': size,
            'discard': 'none', 'private-prealloc': True,
            'private-prealloc-async': True})
        self.wait_for_allocation(guest, path, lambda a: a['done'])
        guest.cmd('qom-set', path=path, property='private-prealloc',
                  value=False)
        allocation = self.allocation(guest, path)
        self.log.info('%s', allocation)
        self.assertEqual(allocation['status'], 'interrupted')
        self.assertLess(allocation['done'], size)
        guest.cmd('object-del', id='ram9')
        self.assertLess(halves(group), limit)
        (group.path / 'memory.high').write_text('max')
        guest.shutdown()
        group.remove()

    def test_prealloc_once(self):
        """The reset before the guest runs leaves alone what is allocated."""
        guest = self.guest('halves', reboot=True, arguments=[
            '-S', '-trace', 'guest_memfd_manager_reset'])
        guest.launch()
        self.assertNotIn('guest_memfd_manager_reset', guest.trace())
        guest.cmd('system_reset')
        self.assertIsNotNone(guest.event_wait('RESET', timeout=60))
        self.assertIn('guest_memfd_manager_reset', guest.trace())
        guest.shutdown()

    # What it inherits

    def hugetlb(self, options, private):
        """`private` is what huge pages take while all is private."""
        used = {}
        self.alone_with('huge-pages')
        NR_HUGEPAGES.write_text(str(SIZE // HUGE_PAGE + 2))
        total = free_huge_pages()
        self.assertGreaterEqual(total, SIZE // HUGE_PAGE)
        guest = self.two_nodes(
            f',hugetlb=on,hugetlbsize=2M,prealloc=on{options}')
        guest.launch()
        self.steps(guest, lambda name: used.update({
            name: (total - free_huge_pages()) * HUGE_PAGE}))
        NR_HUGEPAGES.write_text('0')
        self.assertEqual(used, dict.fromkeys(HALVES_STEPS, SIZE) |
                         {'private': private})

    def test_hugetlb(self):
        """Huge pages are kept: somebody else may take them."""
        self.hugetlb('', SIZE)

    def test_hugetlb_discard(self):
        """They are freed when all of them is private, if that is wanted."""
        self.hugetlb(',discard=both', 0)

    def test_numa_policy(self):
        """mbind() accepts it, and knows it afterwards."""
        guest = self.two_nodes(',policy=bind,host-nodes=0-1')
        guest.launch()
        guest.wait_for_line('# step start')
        maps = Path(f'/proc/{guest.get_pid()}/numa_maps').read_text()
        self.assertRegex(maps, r' bind:0-1 file=/memfd:memory-backend-memfd')

    def test_properties(self):
        guest = self.guest(
            'halves', machine='q35,memory-backend=ram0', arguments=[
                '-object', f'{BACKEND},id=ram0,size=256M,private-prealloc=off'])
        guest.launch()

        def get(name):
            return guest.cmd('qom-get', path='/objects/ram0', property=name)

        def put(name, value):
            guest.cmd('qom-set', path='/objects/ram0', property=name,
                      value=value)

        before = {'discard': 'both', 'initial': 'auto', 'share': True,
                  'private-prealloc': False, 'hugetlb': False, 'seal': True,
                  'hugetlbsize': 0, 'prealloc': False, 'reserve': True,
                  'size': 256 * MIB, 'merge': True, 'dump': True,
                  'policy': 'default', 'host-nodes': [], 'prealloc-threads': 1}
        for name, value in before.items():
            self.assertEqual(get(name), value, name)
        for name, value in (
                ('initial', 'private'), ('private-prealloc', True),
                ('hugetlb', True), ('seal', False), ('share', False),
                ('hugetlbsize', 2 * MIB), ('prealloc', True),
                ('reserve', False), ('size', MIB), ('merge', False),
                ('dump', False), ('policy', 'bind'), ('host-nodes', [0]),
                ('prealloc-threads', 2)):
            with self.assertRaisesRegex(ExecuteError, 'cannot change',
                                        msg=name):
                put(name, value)
            self.assertEqual(get(name), before[name], name)
        for value in ('none', 'shared', 'private', 'both'):
            put('discard', value)
            self.assertEqual(get('discard'), value)

    def test_migration_is_blocked(self):
        """For as long as the object exists, and with the reason."""
        guest = self.guest('halves')
        guest.launch()

        def reasons():
            return ' '.join(guest.cmd('query-migrate').get('blocked-reasons',
                                                           ()))

        self.assertIn("'pc.ram' has a private half", reasons())
        guest.cmd('object-add', qom_type=BACKEND, id='ram9', size=MIB)
        self.assertIn("'ram9' has a private half", reasons())
        with self.assertRaisesRegex(ExecuteError, 'private half'):
            guest.cmd('migrate', uri='exec:cat >/dev/null')
        guest.cmd('object-del', id='ram9')
        self.assertNotIn('ram9', reasons())

    # What it refuses

    def refused(self, message, options='', machine=None, *arguments):
        machine = machine or 'q35,confidential-guest-support=cgs0'
        text = self.refusal(
            '-accel', 'kvm', '-object', 'sw-protected-vm,id=cgs0', '-machine',
            machine, '-bios', str(PAYLOADS / 'selftest.bin'),
            '-m', '64M,slots=1,maxmem=1G', '-object',
            f'{BACKEND},id=ram1,size=64M{options}', *arguments)
        self.assertRegex(text, message)
        self.assertEqual(text.count('\n'), 1, text)

    def test_refusals(self):
        self.refused('VM has no private memory; use -machine '
                     'confidential-guest-support=', machine='q35')
        self.refused('; use prealloc=on', ',private-prealloc=on')
        self.refused('free huge pages .*nr_hugepages',
                     ',hugetlb=on,hugetlbsize=2M')
        self.refused('with private memory: ram1. Use a pc-dimm', '', None,
                     '-device', 'virtio-mem-pci,memdev=ram1')
        self.refused('-only-migratable', '', None, '-only-migratable')
        self.refused('size 1048577 is not a multiple of the page size, 4 KiB',
                     ',size=1048577')

    def test_snp(self):
        """The way to the kernel's refusal is the same."""
        text = self.refusal('-readconfig', str(CONFIGS / 'sev-snp.cfg'),
                            '-bios', str(PAYLOADS / 'selftest.bin'))
        self.assertIn('vm-type SEV-SNP not supported by KVM', text)
