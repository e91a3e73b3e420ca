# SPDX-License-Identifier: GPL-2.0-or-later
"""memory-backend-memfd-private, on real KVM."""

import json
import time
from pathlib import Path

from qemu.qmp.qmp_client import ExecuteError
from workbench.avocado import GuestTest
from workbench.guest import PAYLOADS
from workbench.paths import REPO

MIB = 1 << 20
BACKEND = 'memory-backend-memfd-private'
# What the payload uses; the rest of the memory is the payload's own
BASE, SIZE = 64 * MIB, 64 * MIB
# What the kernel counts late
SLACK = 3 * MIB
STEPS = ('start', 'first', 'shared', 'private', 'mixed', 'back')
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

    def named(self, payload, *, options='', size='256M', **more):
        """A guest whose memory is a backend with these options."""
        return self.guest(
            payload, machine='q35,memory-backend=ram0', memory=size,
            arguments=['-object',
                       f'{BACKEND},id=ram0,size={size}{options}'], **more)

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
        for name in STEPS:
            seen = guest.wait_for_line(f'# step {name}', seen).end()
            action(name)
            guest.send('\n')
        self.check_report(guest.finish())

    # Where it can be used

    def test_machine_memory(self):
        self.passes(self.named('mixed'))

    def test_json(self):
        self.passes(self.guest(
            'convert', machine='q35,memory-backend=r', memory='64M',
            arguments=['-object', json.dumps({
                'qom-type': BACKEND, 'id': 'r', 'size': 64 * MIB,
                'discard': 'none', 'share': True})]))

    def test_readconfig(self):
        self.passes(self.guest(
            'convert', machine='q35', protected=False, memory='1G',
            arguments=['-readconfig', str(CONFIGS / 'sw-protected.cfg')]))

    def test_numa(self):
        """Conversions across backends with other properties."""
        arguments = []
        for node, size in enumerate(('128M', '2M', '126M')):
            arguments += ['-object', f'{BACKEND},id=ram{node},size={size}',
                          '-numa', f'node,memdev=ram{node}']
        self.passes(self.guest('mixed', arguments=arguments, parameters={
            'base': '127M', 'size': '4M'}))

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

    def memory_used(self, options, change=None):
        """
        What both halves use at each step, beyond what they do at the start;
        and the peak of all that QEMU uses.

        `change` is called with the guest, and with what tells how much is used
        now, at the step "mixed", before that.
        """
        group = self.cgroup()
        guest = self.two_nodes(options, wrapper=group.wrapper())
        used = {}

        def look(name):
            if change and name == 'mixed':
                used['before'] = halves(group) - used['start']
                change(guest, lambda: halves(group) - used['start'])
            used[name] = halves(group) - used.get('start', 0)

        guest.launch()
        self.steps(guest, look)
        used['peak'] = group.peak()
        group.remove()
        self.log.info('used, MiB: %s', {name: value // MIB
                                        for name, value in used.items()})
        return used

    def test_discard_both(self):
        """Never more than the size, whatever the guest does."""
        used = self.memory_used('')
        for name in STEPS[1:]:
            self.assertGreater(used[name], SIZE - SLACK, name)
            self.assertLess(used[name], SIZE + SLACK, name)
        # Not at any time between: the rest of QEMU takes less than this
        self.assertLess(used['peak'], SIZE + SIZE * 3 // 4)

    def test_discard_none(self):
        """What the measurement shows when both halves are kept."""
        used = self.memory_used(',discard=none')
        self.assertLess(used['shared'], SIZE + SLACK)
        for name in ('private', 'mixed', 'back'):
            self.assertGreater(used[name], 2 * SIZE - SLACK, name)

    def test_discard_shared(self):
        used = self.memory_used(',discard=shared')
        self.assertLess(used['private'], SIZE + SLACK)
        self.assertGreater(used['back'], 2 * SIZE - SLACK)

    def test_discard_private(self):
        used = self.memory_used(',discard=private')
        self.assertGreater(used['private'], 2 * SIZE - SLACK)
        self.assertLess(used['back'], SIZE + SLACK)

    def test_discard_at_run_time(self):
        """What was kept is freed soon."""
        def free(guest, now):
            guest.cmd('qom-set', path='/objects/ram1', property='discard',
                      value='both')
            deadline = time.monotonic() + 60
            while now() > SIZE + SLACK:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.01)

        used = self.memory_used(',discard=none', free)
        self.assertGreater(used['before'], 2 * SIZE - SLACK)
        for name in ('mixed', 'back'):
            self.assertLess(used[name], SIZE + SLACK, name)

    def check_prealloc(self, options, *objects):
        group = self.cgroup()
        guest = self.two_nodes(options, wrapper=group.wrapper())
        guest.add_args(*objects)
        guest.launch()
        guest.wait_for_line('# step start')
        self.assertGreater(halves(group), SIZE - SLACK)
        guest.shutdown()
        group.remove()

    def test_prealloc(self):
        self.check_prealloc(',prealloc=on')

    def test_private_prealloc(self):
        self.check_prealloc(',initial=private,private-prealloc=on')

    def test_private_prealloc_threads(self):
        self.check_prealloc(
            ',discard=none,private-prealloc=on,prealloc-threads=3,'
            'prealloc-context=context', '-object',
            'thread-context,id=context,node-affinity=0')

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
        self.assertEqual(used, dict.fromkeys(STEPS, SIZE) |
                         {'private': private})

    def test_hugetlb(self):
        """Huge pages are kept: somebody else may take them."""
        self.hugetlb('', SIZE)

    def test_hugetlb_discard(self):
        """They are freed when all of them is private, if that is wanted."""
        self.hugetlb(',discard=both', 0)

    def test_numa_policy(self):
        """mbind() accepts it, and knows it afterwards."""
        guest = self.two_nodes(',policy=bind,host-nodes=0')
        guest.launch()
        guest.wait_for_line('# step start')
        maps = Path(f'/proc/{guest.get_pid()}/numa_maps').read_text()
        self.assertRegex(maps, r' bind:0 file=/memfd:memory-backend-memfd')

    def test_properties(self):
        guest = self.named('halves', options=',private-prealloc=off')
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
        guest = self.guest('halves', protected=True)
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
        self.refused('with share=off; use share=on', ',share=off')
        self.refused('use private-prealloc=on', ',initial=private,prealloc=on')
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

    def test_share_off(self):
        """Works where the shared half is not to be freed."""
        self.passes(self.named('convert',
                               options=',share=off,discard=private'))
