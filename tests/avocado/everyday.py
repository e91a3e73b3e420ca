# SPDX-License-Identifier: GPL-2.0-or-later
"""What people use with QEMU every day, with private memory: the user network,
VNC, screendump, the sandbox, 9p, a TPM."""

import contextlib
import socket
import struct
import subprocess
import time

from workbench.guest.avocado import GuestTest

# Of the payload's screen
WIDTH, HEIGHT, LINES_OF_A_PAGE = 64, 64, 16
GREEN = b'\0\xff\0'
STRICT = ('on,obsolete=deny,elevateprivileges=deny,spawn=deny,'
          'resourcecontrol=deny')


def pages(pixels: bytes) -> list[bytes]:
    """The colour of each page of the framebuffer; all of it if not just one."""
    size = len(pixels) // (HEIGHT // LINES_OF_A_PAGE)
    parts = [pixels[i:i + size] for i in range(0, len(pixels), size)]
    return [part[:3] if part == part[:3] * (len(part) // 3) else part
            for part in parts]


def receive(connection: socket.socket, size: int) -> bytes:
    data = b''
    while len(data) < size:
        more = connection.recv(size - len(data))
        if not more:
            raise EOFError(f'{len(data)} bytes of {size}')
        data += more
    return data


def vnc_pixels(connection: socket.socket) -> bytes:
    """The screen, as a VNC client without a password gets it (RFC 6143)."""
    receive(connection, 12)
    connection.sendall(b'RFB 003.008\n')
    count, = receive(connection, 1)
    receive(connection, count)
    connection.sendall(b'\1')                       # no authentication
    if receive(connection, 4) != bytes(4):
        raise ValueError('the VNC server refused the client')
    connection.sendall(b'\1')                       # shared
    width, height = struct.unpack('>HH', receive(connection, 4))
    receive(connection, 16)
    name_size, = struct.unpack('>I', receive(connection, 4))
    receive(connection, name_size)
    # 32 bits, 24 of them used, big endian, true colour, 8 bits of each
    connection.sendall(b'\0\0\0\0' + struct.pack(
        '>BBBBHHHBBB3x', 32, 24, 1, 1, 255, 255, 255, 16, 8, 0))
    connection.sendall(struct.pack('>BBHi', 2, 0, 1, 0))    # not encoded
    connection.sendall(struct.pack('>BBHHHH', 3, 0, 0, 0, width, height))
    screen = bytearray(width * height * 3)
    missing = width * height
    while missing > 0:
        kind, rectangles = struct.unpack('>BxH', receive(connection, 4))
        if kind != 0:
            raise ValueError(f'VNC message {kind}')
        for _ in range(rectangles):
            x, y, w, h, _ = struct.unpack('>HHHHi', receive(connection, 12))
            pixels = receive(connection, w * h * 4)
            missing -= w * h
            for i in range(w * h):
                at = ((y + i // w) * width + x + i % w) * 3
                screen[at:at + 3] = pixels[4 * i + 1:4 * i + 4]
    return bytes(screen)


class Everyday(GuestTest):

    def everyday(self, what, *arguments, machine='q35,memory-backend=ram0'):
        return self.guest(
            'everyday', machine=machine, memory='64M',
            parameters={'what': what}, arguments=[
                '-object', 'memory-backend-memfd-private,id=ram0,size=64M',
                '-trace', 'guest_memfd_manager_access_refused', *arguments])

    def refused(self, guest):
        return guest.trace().count('guest_memfd_manager_access_refused')

    def until(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, what)
            time.sleep(0.01)

    def check_refusals(self, guest, *names):
        """QEMU refuses an access at each of these steps, and goes on."""
        guest.launch()
        seen = before = 0
        for name in names:
            seen = guest.wait_for_line(f'# step refused {name}', seen).end()
            self.until(lambda: self.refused(guest) > before, name)
            before = self.refused(guest)
            guest.send('\n')
        self.check_report(guest.finish())

    def test_user_network(self):
        """Frames go from and to shared memory, and no other."""
        self.check_refusals(self.everyday(
            'network', '-netdev', 'user,id=n0', '-device',
            'virtio-net-pci,netdev=n0,mac=52:54:00:12:34:56,'
            'disable-legacy=off,disable-modern=on,'
            'iommu_platform=off'), 'transmit', 'receive')

    def test_virtfs(self):
        """Messages of 9p are in shared memory, or the device wants a reset."""
        self.check_refusals(self.everyday(
            '9p', '-fsdev', f'local,id=fs0,path={self.directory},'
            'security_model=none', '-device', 'virtio-9p-pci,fsdev=fs0,'
            'mount_tag=host,disable-legacy=off,disable-modern=on,'
            'iommu_platform=off'),
            'request', 'answer')

    def test_tpm(self):
        """A TPM accesses no memory of the guest's."""
        control = self.directory / 'swtpm'
        with subprocess.Popen(
                ['swtpm', 'socket', '--tpm2', '--tpmstate',
                 f'dir={self.directory}', '--ctrl',
                 f'type=unixio,path={control}', '--terminate']) as swtpm:
            try:
                self.until(control.exists, 'swtpm')
                guest = self.everyday(
                    'tpm', '-chardev', f'socket,id=tpm0,path={control}',
                    '-tpmdev', 'emulator,id=tpm0,chardev=tpm0', '-device',
                    'tpm-tis,tpmdev=tpm0,ppi=on')
                self.passes(guest)
                self.assertEqual(self.refused(guest), 0)
                self.assertEqual(swtpm.wait(60), 0)
            finally:
                swtpm.kill()

    def check_shown(self, pixels, name):
        if name == 'private':
            self.assertNotIn(GREEN, pages(pixels))
        else:
            self.assertEqual(pages(pixels), [GREEN] * 4)

    def test_screen(self):
        """A framebuffer with a private page is shown to nobody, and takes no
        memory."""
        socket_path = self.directory / 'vnc'
        picture = self.directory / 'picture'
        guest = self.everyday('screen', '-device', 'ramfb', '-vnc',
                              f'unix:{socket_path}')
        guest.launch()
        seen = 0
        allocated = {}
        for name in ('shared', 'private', 'shared-again'):
            seen = guest.wait_for_line(f'# step {name}', seen).end()
            guest.cmd('screendump', filename=str(picture))
            head, size, depth, pixels = picture.read_bytes().split(b'\n', 3)
            self.assertEqual((head, size, depth), (b'P6', b'64 64', b'255'))
            self.check_shown(pixels, name)
            with contextlib.closing(socket.socket(socket.AF_UNIX)) as client:
                client.settimeout(60)
                client.connect(str(socket_path))
                self.check_shown(vnc_pixels(client), name)
            guest.cmd('screendump', filename=str(picture), format='png')
            self.assertEqual(picture.read_bytes()[:4], b'\x89PNG')
            # RAM comes first
            block = guest.cmd('query-private-memory')['blocks'][0]
            allocated[name] = block['shared-allocated']
            guest.send('\n')
        self.check_report(guest.finish())
        self.assertEqual(allocated['private'], allocated['shared'] - 4096)

    def test_sandbox(self):
        """The sandbox allows all that conversions need."""
        guest = self.guest('mixed', machine='q35,memory-backend=ram0',
                           arguments=['-sandbox', STRICT, '-object',
                                      'memory-backend-memfd-private,id=ram0,'
                                      'size=256M'])
        guest.launch()
        status = f'/proc/{guest.get_pid()}/status'
        with open(status, encoding='ascii') as file:
            self.assertIn('Seccomp:\t2\n', file.read())
        self.check_report(guest.finish())

    def test_kata(self):
        """
        What Kata Containers asks QEMU for beside the VM type: memory in a
        shared file of a NUMA node, slots for more, a bridge, an entropy source,
        a console, SCSI, vsock, a network and a throttled clock.
        """
        memory = '256M'
        console = self.directory / 'console.sock'
        guest = self.guest(
            'convert', memory=f'{memory},slots=10,maxmem=4G',
            machine='q35,nvdimm=on', arguments=[
                '-name', 'sandbox-0,debug-threads=on',
                '-uuid', '8ba1b6d4-6c94-4bd0-b4b7-7bd2f2d4e9c3',
                '-object', f'memory-backend-file,id=dimm1,size={memory},'
                f'mem-path={self.directory},share=on',
                '-numa', 'node,memdev=dimm1',
                '-device', 'pci-bridge,bus=pcie.0,id=pci-bridge-0,'
                'chassis_nr=1,shpc=off,addr=2,io-reserve=4k,mem-reserve=1m,'
                'pref64-reserve=1m',
                '-device', 'virtio-serial-pci,disable-modern=false,id=serial0',
                '-device', 'virtconsole,chardev=charconsole0,id=console0',
                '-chardev', f'socket,id=charconsole0,path={console},'
                'server=on,wait=off',
                '-device', 'virtio-scsi-pci,id=scsi0,disable-modern=false',
                '-object', 'rng-random,id=rng0,filename=/dev/urandom',
                '-device', 'virtio-rng-pci,rng=rng0',
                '-device', 'vhost-vsock-pci,disable-modern=false,'
                'id=vsock-0,guest-cid=4242',
                '-netdev', 'user,id=network-0', '-device',
                'driver=virtio-net-pci,netdev=network-0,mq=on,vectors=4',
                '-rtc', 'base=utc,driftfix=slew,clock=host',
                '-global', 'kvm-pit.lost_tick_policy=discard',
                '-vga', 'none'])
        self.passes(guest)

    def test_sandbox_prealloc(self):
        """Memory is allocated by threads before the sandbox is closed."""
        self.passes(self.guest(
            'convert', memory='64M', machine='q35,memory-backend=ram0',
            arguments=['-sandbox', STRICT, '-object',
                       'memory-backend-memfd-private,id=ram0,size=64M,'
                       'private-prealloc=on,discard=none,prealloc-threads=2']))

    def test_sandbox_prealloc_async(self):
        """Memory is allocated while the guest is launched and runs."""
        self.passes(self.guest(
            'convert', memory='256M', machine='q35,memory-backend=ram0',
            arguments=['-sandbox', STRICT, '-object',
                       'memory-backend-memfd-private,id=ram0,size=256M,'
                       'private-prealloc=on,private-prealloc-async=on,'
                       'discard=none,prealloc-threads=2']))


class SnpEveryday(Everyday):
    vm_type = 'sev-snp'
