# SPDX-License-Identifier: GPL-2.0-or-later
"""A debugger asks for what is private, on real KVM: QEMU says so."""

import socket

from workbench.guest.avocado import GuestTest

MIB = 1 << 20
# What gdb is told when memory cannot be accessed
FAILED = 'E14'


class Debugger:
    """The few requests of gdb's remote protocol that are needed here."""

    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile('rb')

    def ask(self, request):
        checksum = sum(request.encode()) % 256
        self._socket.sendall(f'${request}#{checksum:02x}'.encode())
        while self._stream.read(1) != b'$':
            pass
        answer = b''
        while (byte := self._stream.read(1)) != b'#':
            answer += byte
        self._stream.read(2)
        self._socket.sendall(b'+')
        return answer.decode()

    def close(self):
        self._stream.close()
        self._socket.close()


class Gdb(GuestTest):

    def test_gdb(self):
        """Neither reads nor writes of private memory look as if they worked."""
        path = self.directory / 'gdb'
        guest = self.guest(
            'halves', parameters={'base': 64 * MIB, 'size': 2 * MIB},
            arguments=('-gdb', f'unix:path={path},server=on,wait=off'))
        guest.launch()
        for step in ('start', 'first', 'shared', 'private'):
            guest.wait_for_line(f'# step {step}')
            guest.send('\n')
        guest.wait_for_line('# step mixed')
        private, shared = 64 * MIB + 0x1000, 64 * MIB + 0x2000

        gdb = Debugger(path)
        for physical in (0, 1):
            with self.subTest(physical=physical):
                self.assertEqual(gdb.ask(f'Qqemu.PhyMemMode:{physical}'), 'OK')
                self.assertEqual(gdb.ask(f'm{private:x},4'), FAILED)
                self.assertEqual(gdb.ask(f'M{private:x},4:11223344'), FAILED)
                self.assertEqual(gdb.ask(f'M{shared:x},4:11223344'), 'OK')
                self.assertEqual(gdb.ask(f'm{shared:x},4'), '11223344')
                # A part of it is not enough
                self.assertEqual(gdb.ask(f'M{shared - 2:x},4:55667788'), FAILED)
                self.assertEqual(gdb.ask(f'm{shared:x},4'), '11223344')
                self.assertEqual(gdb.ask(f'Z0,{private:x},1'), 'E22')
        gdb.close()
        guest.stop()
        self.assertEqual("gdbstub: The guest's registers are protected" in
                         guest.get_log(), self.vm_type != 'sw-protected')


class SnpGdb(Gdb):
    vm_type = 'sev-snp'


class TdxGdb(Gdb):
    vm_type = 'tdx'
