# SPDX-License-Identifier: GPL-2.0-or-later
"""What the monitor tells of private memory while guests use it, on real KVM."""

from workbench.guest.avocado import GuestTest

MIB = 1 << 20
BACKEND = 'memory-backend-memfd-private'
BASE, SIZE = 64 * MIB, 64 * MIB
# Ranges that one answer of the storm's queries may have
LIMIT = 100


def conversions(block) -> int:
    """All conversions of a block so far."""
    return sum(direction['count'] for cause in block['conversions'].values()
               for direction in cause.values())


class Monitor(GuestTest):

    first = 0       # bytes of [BASE, BASE + SIZE) that are private at first
    cpus = 4

    def test_allocated(self):
        """What the kernel has allocated is known to the byte."""
        guest = self.guest('halves', memory='128M', arguments=[
            '-object', f'{BACKEND},id=ram0,size=64M', '-numa',
            'node,memdev=ram0', '-object', f'{BACKEND},id=ram1,size=64M',
            '-numa', 'node,memdev=ram1'],
            parameters={'base': BASE, 'size': SIZE})
        guest.launch()
        seen = 0
        for step, private in (('start', self.first), ('first', self.first),
                              ('shared', 0), ('private', SIZE),
                              ('mixed', SIZE // 2), ('back', 0)):
            seen = guest.wait_for_line(f'# step {step}', seen).end()
            block = guest.cmd('query-private-memory')['blocks'][1]
            self.assertEqual(block['backend'], '/objects/ram1')
            self.assertEqual(block['private'], private, step)
            self.assertEqual(block['shared'], SIZE - private, step)
            used = step != 'start'
            self.assertEqual(block['private-allocated'], used * private, step)
            self.assertEqual(block['shared-allocated'],
                             used * (SIZE - private), step)
            ranges = guest.cmd('query-private-memory-ranges', start=BASE,
                               size=SIZE, limit=65536)
            self.assertNotIn('next', ranges)
            self.assertEqual(len(ranges['ranges']),
                             SIZE // 4096 if step == 'mixed' else 1)
            self.check_others_say(guest)
            guest.send('\n')
        self.check_report(guest.finish())

    def check_others_say(self, guest):
        """HMP and the statistics say what query-private-memory does."""
        blocks = guest.cmd('query-private-memory')['blocks']
        [stats] = guest.cmd('query-stats', target='vm', providers=[
            {'provider': 'private-memory'}])
        values = {stat['name']: stat['value'] for stat in stats['stats']}
        for direction in ('to-private', 'to-shared'):
            self.assertEqual(values[f'explicit-{direction}'], sum(
                block['conversions']['explicit'][direction]['count']
                for block in blocks))
        said = guest.cmd('human-monitor-command',
                         command_line='info private-memory')
        for block in blocks:
            self.assertIn(f"{block['id']}: ", said)

    def test_storm(self):
        """
        Queries while all CPUs convert memory.

        Each answer must make sense in itself and after the one before, and
        the guest must neither stop nor notice.
        """
        guest = self.guest('storm', cpus=self.cpus, trace=False,
                           parameters={'conversions': 20_000})
        guest.launch()
        queries = before = 0
        # Twice at least, however fast the storm is
        while queries < 2 or '# step look' not in guest.serial():
            # RAM comes first
            block = guest.cmd('query-private-memory')['blocks'][0]
            self.assertEqual(block['private'] + block['shared'],
                             block['size'])
            self.assertGreaterEqual(conversions(block), before)
            before = conversions(block)

            start = end = 0
            while start is not None:
                answer = guest.cmd('query-private-memory-ranges', start=start,
                                   size=block['size'] - start, limit=LIMIT)
                self.assertLessEqual(len(answer['ranges']), LIMIT)
                for found in answer['ranges']:
                    self.assertGreaterEqual(found['gpa'], end)
                    self.assertGreater(found['size'], 0)
                    end = found['gpa'] + found['size']
                start = answer.get('next')
            self.assertEqual(end, block['size'])

            [stats] = guest.cmd('query-stats', target='vm', providers=[
                {'provider': 'private-memory'}])
            values = {stat['name']: stat['value'] for stat in stats['stats']}
            self.assertGreaterEqual(values['explicit-to-private'],
                                    block['conversions']['explicit']
                                    ['to-private']['count'])
            guest.cmd('human-monitor-command',
                      command_line='info private-memory')
            queries += 1
            self.assertIsNone(guest.event_wait('STOP', timeout=0))
        self.log.info('%d rounds of queries, %d conversions', queries, before)

        # All that was converted is shared in the end, and nothing failed
        start, size = guest.wait_for_look()
        [found] = guest.cmd('query-private-memory-ranges', start=start,
                            size=size)['ranges']
        self.assertEqual((found['gpa'], found['size'], found['private']),
                         (start, size, False))
        info = guest.cmd('query-private-memory')
        if not self.first:
            [block] = info['blocks']
            self.assertEqual(block['private'], 0)
            self.assertEqual(block['private-allocated'], 0)
        self.assertEqual(set(info['failures'].values()), {0})
        guest.send('\n')
        self.check_report(guest.finish())


class SnpMonitor(Monitor):
    vm_type = 'sev-snp'
    first = SIZE


class TdxMonitor(Monitor):
    vm_type = 'tdx'
    first = SIZE
    cpus = 2        # as many as the emulated machine has


class Ordinary(GuestTest):

    def test_ordinary_vm(self):
        guest = self.guest('hypercall', vm_type='ordinary',
                           parameters={'enabled': 0},
                           arguments=['-no-shutdown'])
        guest.launch()
        self.assertEqual(guest.cmd('query-private-memory')['blocks'], [])
