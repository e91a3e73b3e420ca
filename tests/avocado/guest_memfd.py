# SPDX-License-Identifier: GPL-2.0-or-later
"""
memory-backend-guest-memfd on real KVM, for ordinary VMs.

Sections of guests.cfg have it in confidential ones.
"""

import re
import time
from pathlib import Path

from workbench.guest.avocado import GuestTest
from workbench.guest.console import ConsoleMachine
from workbench.guest.guest import has_mapped_guest_memfd

MIB = 1 << 20
BACKEND = 'memory-backend-guest-memfd'
BOUND = 4               # KVM_MEM_GUEST_MEMFD
GONE = 30               # seconds, for a guest to let go of memory
DOWNTIME = 60000        # ms that a migration may take at its end
LIMIT = 60              # seconds, for one until then


def backends(*sizes):
    """QEMU's arguments for machine memory of that many MiB in each node."""
    arguments = ['-m', f'{sum(sizes)}M,slots=2,maxmem=2G']
    for node, size in enumerate(sizes):
        arguments += ['-object', f'{BACKEND},id=ram{node},size={size}M',
                      '-numa', f'node,memdev=ram{node}']
    return arguments


class GuestMemfd(GuestTest):

    def refused(self, error, *arguments):
        self.assertRegex(self.refusal(*arguments),
                         rf'^\S+: (-object .*: )?{BACKEND}: .*{error}.*\n$')

    def test_refusals(self):
        memory = ('-object', f'{BACKEND},id=m,size=64M')
        self.refused('use -accel kvm', *memory, '-accel', 'tcg')
        if not has_mapped_guest_memfd():
            self.refused('on Linux 6.18 or later', *memory, '-accel', 'kvm')

    def check_memslots(self, trace):
        """
        What of a guest_memfd KVM's memslots are bound to.

        Each part of it to one memslot at most, and nearly all of it to one.
        """
        slots = {}
        aliases = 0
        for match in re.finditer(
                r'kvm_set_user_memory AddrSpace#(\d+) Slot#(\d+) '
                r'flags=(0x\w+) .* size=(0x\w+) .* guest_memfd=(-?\d+) '
                r'guest_memfd_offset=(0x\w+) ret=(-?\d+)', trace):
            flags, size, offset = (int(match[n], 16) for n in (3, 4, 6))
            fd = int(match[5])
            self.assertEqual(match[7], '0', match[0])
            slots.pop(match.group(1, 2), None)
            if not size or fd < 0:
                continue
            if not flags & BOUND:
                aliases += 1
                continue
            for other, start, end in slots.values():
                self.assertFalse(other == fd and start < offset + size and
                                 offset < end, match[0])
            slots[match.group(1, 2)] = (fd, offset, offset + size)
        return sum(end - start for _, start, end in slots.values()), aliases

    def test_linux(self):
        """
        Linux boots on two NUMA nodes, with SMM, its root file system being
        served by a process that shares the memory; memory is plugged, used
        and unplugged.
        """
        self.needs_mapped_guest_memfd()
        guest = self.linux(cpus=2, arguments=[
            *backends(160, 96), '-trace', 'kvm_set_user_memory'])
        guest.launch()
        guest.wait_for_shell()
        self.assertEqual(guest.run('cat /sys/devices/system/node/online'),
                         '0-1\n')
        bound, aliases = self.check_memslots(guest.trace())
        self.assertGreater(bound, 254 * MIB)
        self.assertGreater(aliases, 0, 'SMM sees the same memory')

        free = "awk '/MemFree/ {print $2}' /proc/meminfo"
        before = int(guest.run(free))
        guest.cmd('object-add', qom_type=BACKEND, id='dimm', size=256 * MIB)
        guest.cmd('device_add', driver='pc-dimm', id='dimm0', memdev='dimm')
        guest.run(f'until [ $({free}) -gt {before + 200000} ]; do '
                  'sleep 0.1; done')
        # More than there was before
        guest.run('mount -t tmpfs -o size=90% big /mnt && '
                  'dd if=/dev/zero of=/mnt/zeroes bs=1M count=300 2>/dev/null')
        self.assertGreater(self.check_memslots(guest.trace())[0], 510 * MIB)
        guest.run('umount /mnt')
        guest.cmd('device_del', id='dimm0')
        self.assertIsNotNone(guest.event_wait('DEVICE_DELETED', timeout=GONE,
                                              match={'data': {'device':
                                                              'dimm0'}}))
        guest.cmd('object-del', id='dimm')
        self.assertLess(int(guest.run(free)), before + 100000)
        self.assertLess(self.check_memslots(guest.trace())[0], 257 * MIB)

    def test_balloon(self):
        """What a guest gives back is freed, and comes back as zeroes."""
        self.needs_mapped_guest_memfd()
        group = self.cgroup()
        guest = self.linux(wrapper=group.wrapper(), arguments=[
            *backends(256), '-device', 'virtio-balloon-pci'])
        guest.launch()
        guest.wait_for_shell()
        guest.run('mount -t tmpfs big /mnt && '
                  'dd if=/dev/zero of=/mnt/zeroes bs=1M count=64 2>/dev/null;'
                  'umount /mnt')
        used = group.statistics('unevictable')
        self.assertGreater(used, 64 * MIB)
        guest.cmd('balloon', value=160 * MIB)
        while guest.cmd('query-balloon')['actual'] > 160 * MIB:
            guest.event_wait('BALLOON_CHANGE', timeout=GONE)
        self.assertLess(group.statistics('unevictable'), used - 32 * MIB)
        guest.run('true')

    def test_properties(self):
        """The kernel heeds them, or they are refused."""
        self.needs_mapped_guest_memfd()
        group = self.cgroup()
        guest = self.guest(
            'selftest', vm_type='ordinary', machine='q35,memory-backend=ram0',
            wrapper=group.wrapper(), arguments=[
                '-object', f'{BACKEND},id=ram0,size=256M,prealloc=on,'
                'dump=off,host-nodes=0,policy=bind'])
        ConsoleMachine.launch(guest)
        self.assertGreaterEqual(group.statistics('unevictable'), 256 * MIB)
        smaps = self.mapping(guest.get_pid())
        self.assertIn(' dd', smaps)             # not dumped
        self.assertRegex(smaps, r'VmFlags:.* sh')
        guest.cmd('cont')
        self.check_report(guest.finish())

    def mapping(self, pid):
        """What the kernel tells of where QEMU has mapped its guest_memfd."""
        text = Path(f'/proc/{pid}/smaps').read_text()
        found = re.search(r'^\S+ rw-s .*(?:guest_memfd|kvm-gmem).*\n'
                          r'(?:[A-Z].*\n)+', text, flags=re.M)
        self.assertIsNotNone(found, text)
        return found[0]

    def test_migration(self):
        """
        A guest that writes all the time loses no write.

        KVM does not log writes to what is bound to a guest_memfd.
        """
        self.needs_mapped_guest_memfd()
        state = self.directory / 'state'
        memory = ['-object', f'{BACKEND},id=ram0,size=64M', '-trace',
                  'kvm_set_user_memory']
        options = {'vm_type': 'ordinary', 'machine': 'q35,memory-backend=ram0',
                   'memory': '64M'}
        source = self.guest('migrate', arguments=memory, **options)
        source.launch()
        source.wait_for_line('# writing')
        self.assertGreater(self.check_memslots(source.trace())[0], 60 * MIB)
        # It never stops writing, and has to be stopped at some time
        source.cmd('migrate-set-parameters', downtime_limit=DOWNTIME)
        source.cmd('migrate', uri=f'exec:cat >{state}')
        source.event_wait('STOP', timeout=LIMIT)
        while (status := source.cmd('query-migrate'))['status'] != 'completed':
            self.assertIn(status['status'], ('active', 'device'))
            time.sleep(0.1)
        self.assertGreater(status['ram']['dirty-sync-count'], 1)
        self.assertEqual(self.check_memslots(source.trace())[0], 0)
        source.stop()

        guest = self.guest('migrate', arguments=[
            *memory, '-incoming', f'exec:cat {state}'], **options)
        guest.launch()
        # What is typed sooner is not what the guest's UART has migrated with
        guest.event_wait('RESUME', timeout=LIMIT)
        guest.send('\n')
        self.check_report(guest.finish())
