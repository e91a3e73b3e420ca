# SPDX-License-Identifier: GPL-2.0-or-later
"""
Debian's kernel as an SEV-SNP guest that is kept busy: its disk, its network,
an assigned device and conversions of its memory, all at once, while QEMU's
monitor is asked.  And memory that is plugged into Linux.
"""

import fcntl
import os
import re
import socket
import struct
import subprocess
import time
from pathlib import Path

from workbench.base.paths import REPO
from workbench.build.guest_load import VARIABLE
from workbench.guest import debian_guest
from workbench.guest.avocado import GuestTest
from workbench.guest.guest import assigned_device
from workbench.machine.surroundings import nightly

INIT = REPO / 'tests' / 'linux' / 'load' / 'init'
LIBRARIES = 'lib/x86_64-linux-gnu'
MIB = 1 << 20
PAGE = 4096
RAM = 512 * MIB
DISK = 64 * MIB
# At least so long, by the guest's clock, and so many conversions
SECONDS, CONVERSIONS = (600, 2000) if nightly() else (20, 200)
BOOT_LIMIT = 500        # seconds; it takes a tenth of it on an idle machine
LOAD_LIMIT = 3 * SECONDS + 400
INTERVAL = 1            # seconds between two looks at the guest
MOST = 1.02             # host memory, of the guest's RAM
HEAP = 32 * MIB         # threads and buffers of QEMU's, for disk and network
GROWTH = 4 * MIB        # of its heap, once all of that is there

SIOCSIFFLAGS, IFF_UP = 0x8914, 1


def local_port() -> int:
    """A free port of the loopback interface, which the emulated machine has not
    brought up."""
    with socket.socket() as server:
        fcntl.ioctl(server, SIOCSIFFLAGS, struct.pack('16sH14x', b'lo', IFF_UP))
        server.bind(('127.0.0.1', 0))
        return server.getsockname()[1]


class WholeLinux(GuestTest):

    timeout = BOOT_LIMIT + LOAD_LIMIT + 100
    vm_type = 'sev-snp-c-bit'

    def setUp(self):
        super().setUp()
        self.root = Path(os.environ[VARIABLE])
        self.iperf3 = None

    def tearDown(self):
        if self.iperf3:
            self.iperf3.kill()
            self.iperf3.wait()
        super().tearDown()

    def serve_iperf3(self):
        """The guest's own program, on this machine; returns the port."""
        port = local_port()
        with (self.directory / 'iperf3').open('wb') as log:
            self.iperf3 = subprocess.Popen(
                [self.root / 'lib64/ld-linux-x86-64.so.2', '--library-path',
                 self.root / LIBRARIES, self.root / 'usr/bin/iperf3',
                 '--server', '--bind', '127.0.0.1', '--port', str(port)],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return port

    def busy_guest(self, group):
        disk = self.directory / 'disk'
        # All of it, so that QEMU's memory does not grow by it
        disk.write_bytes(bytes(DISK))
        size = f'{RAM // MIB}M'
        parameters = f'seconds={SECONDS} conversions={CONVERSIONS} ' \
                     f'port={self.serve_iperf3()}'
        return self.guest(
            'c-bit', memory=size, cpus=2, trace=False,
            machine='q35,memory-backend=ram0', wrapper=group.wrapper(),
            arguments=[
                '-cpu', 'host', '-bios', os.environ['QMP_OVMF'],
                # Files, so that anonymous memory is QEMU's own
                '-object', f'memory-backend-memfd-private,id=ram0,size={size}',
                *debian_guest.arguments(self.directory, INIT, self.root,
                                        parameters),
                # What is sent to that address comes back
                '-netdev', 'user,id=n0,guestfwd=tcp:10.0.2.100:7-cmd:cat',
                '-device', 'virtio-net-pci,netdev=n0',
                '-drive', f'if=none,id=d0,format=raw,file={disk}',
                '-device', 'virtio-blk-pci,drive=d0',
                *assigned_device(self.take_device(), 'iommufd')])

    def memory(self, guest):
        """What QEMU says of the RAM."""
        answer = guest.cmd('query-private-memory')
        self.assertEqual(set(answer['failures'].values()), {0})
        block, = (block for block in answer['blocks'] if block['id'] == 'ram0')
        self.assertEqual(block['private'] + block['shared'], RAM)
        self.assertEqual(set(block['failures'].values()), {0})
        self.assertEqual(block['refused-accesses'], 0)
        return block

    def check_conversions(self, before, after, said):
        """QEMU and the guest's module have counted the same, and all pages are
        private again."""
        done = {name: int(number) for name, number in re.findall(
            r'([\w-]+)=(\d+)', re.search('convert: done (.*)', said)[1])}
        self.log.info('the guest: %s', done)
        self.assertEqual(done['wrong'], 0)
        self.assertGreaterEqual(done['conversions'], CONVERSIONS)
        self.assertGreater(done['transfers'], 0)
        counts = 0
        for way in ('to-shared', 'to-private'):
            first, last = (block['conversions']['explicit'][way]
                           for block in (before, after))
            counts += last['count'] - first['count']
            # Each transfer has two pages
            self.assertEqual(last['bytes'] - first['bytes'],
                             (done[way] + 2 * done['transfers']) * PAGE)
        self.assertEqual(counts, done['conversions'] + 2 * done['transfers'])
        self.assertEqual(after['shared'], before['shared'])

    def test_busy(self):
        """No wrong byte, no error, no growth of QEMU's memory."""
        group = self.cgroup()
        guest = self.busy_guest(group)

        def used():
            return group.statistics('anon', 'shmem', 'unevictable')

        guest.launch()
        at_start = used()
        guest.wait_for_line('init: step before', limit=BOOT_LIMIT)
        before = self.memory(guest)
        guest.send('\n')
        samples, heap = [], []

        def over():
            samples.append(used())
            heap.append(group.statistics('anon'))
            self.memory(guest)
            self.assertIn('ram0', guest.cmd('human-monitor-command', **{
                'command-line': 'info private-memory'}))
            self.assertEqual(guest.cmd('query-status')['status'], 'running')
            # The guest needs the CPUs, too
            time.sleep(INTERVAL)
            return 'init: step after\n' in guest.serial()

        guest.wait_until(over, LOAD_LIMIT, 'the end of the load')
        after = self.memory(guest)
        guest.send('\n')
        guest.finish()
        said = guest.serial()
        for line in re.findall(r'init: (?:seconds|disk|network) .*', said):
            self.log.info(line)
        self.assertIn('init: done', said)
        self.assertEqual(re.findall(r'init: (?:no|wrong|dmesg) .*', said), [])
        self.check_conversions(before, after, said)
        half = len(heap) // 2
        self.log.info('memory at start %d, most %d, heap %d, later %d',
                      at_start, max(samples), max(heap[:half]),
                      max(heap[half:]))
        self.assertLess(max(samples), RAM * MOST + at_start)
        self.assertLess(max(heap), at_start + HEAP)
        if nightly():
            self.assertLess(max(heap[half:]), max(heap[:half]) + GROWTH)


class Plugged(GuestTest):

    timeout = 2 * BOOT_LIMIT

    def test_plugged(self):
        """Memory is plugged into Linux in a software-protected VM, used, and
        unplugged."""
        guest = self.linux(
            machine='q35,confidential-guest-support=cgs0,memory-backend=ram0',
            # All memory is shared, and what serves its root file system has it
            arguments=['-global', 'virtio-device.iommu_platform=off',
                       '-object', 'sw-protected-vm,id=cgs0',
                       '-m', '256M,slots=1,maxmem=1G', '-object',
                       'memory-backend-memfd-private,id=ram0,size=256M'])
        guest.launch()
        guest.wait_for_shell()
        free = "awk '/MemFree/ {print $2}' /proc/meminfo"
        before = int(guest.run(free))
        guest.cmd('object-add', qom_type='memory-backend-memfd-private',
                  id='ram1', size=256 * MIB)
        guest.cmd('device_add', driver='pc-dimm', id='dimm0', memdev='ram1')
        guest.run(f'until [ $({free}) -gt {before + 200000} ]; do '
                  'sleep 0.1; done')
        # Linux uses it first: only such pages can move, see LinuxGuest
        first, second = (line.split()[0] for line in guest.run(
            'mount -t tmpfs big /mnt && '
            'head -c 48M /dev/urandom | tee /mnt/file | md5sum && '
            'md5sum </mnt/file', limit=BOOT_LIMIT).splitlines())
        self.assertEqual(first, second)
        blocks = {block['id']: block for block in
                  guest.cmd('query-private-memory')['blocks']}
        for name in ('ram0', 'ram1'):
            self.assertEqual(blocks[name]['shared'], 256 * MIB)
        self.assertGreater(blocks['ram1']['shared-allocated'], 32 * MIB)
        dimm, = guest.cmd('query-memory-devices')
        self.assertEqual(dimm['data']['memdev'], '/objects/ram1')
        guest.run('umount /mnt')
        guest.cmd('device_del', id='dimm0')
        self.assertIsNotNone(guest.event_wait(
            'DEVICE_DELETED', timeout=60,
            match={'data': {'device': 'dimm0'}}))
        guest.cmd('object-del', id='ram1')
        # RCU frees it some time later
        guest.wait_until(
            lambda: 'ram1' not in str(guest.cmd('query-private-memory')), 60,
            'the end of ram1')
        guest.run('true')
