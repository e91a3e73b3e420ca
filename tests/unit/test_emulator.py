# SPDX-License-Identifier: GPL-2.0-or-later
"""How the emulated machine is set up."""

import os
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base.steps import Failure
from workbench.build import emulator_build
from workbench.guest import libvirt, linux_guest
from workbench.machine import emulator, kvm, nested
from workbench.machine.emulator import Machine


class Nested(unittest.TestCase):
    """The guest whose answer decides whether KVM is used."""

    def test_answers(self):
        for cpu, expected in (('EPYC,+svm', nested.HAS),
                              ('EPYC,-svm', nested.LACKS)):
            with self.subTest(cpu):
                self.assertEqual(nested.answer('tcg', cpu), expected)

    def fake(self, script):
        directory = self.enterContext(tempfile.TemporaryDirectory())
        program = Path(directory) / 'qemu'
        program.write_text(f'#!/bin/sh\n{script}\n')
        program.chmod(0o755)
        return str(program)

    def test_no_answer(self):
        with mock.patch.object(nested, 'LIMIT', 0.5):
            for script in ('exit 0', 'exit 1', 'kill -9 $$', 'exec sleep 60'):
                with self.subTest(script):
                    self.assertIsNone(nested.answer('kvm', 'host',
                                                    self.fake(script)))
        self.assertIsNone(nested.answer('kvm', 'host', '/nonexistent'))

    def usable(self, flags, said):
        with tempfile.NamedTemporaryFile('w') as cpuinfo, \
                mock.patch.object(nested, 'CPUINFO', Path(cpuinfo.name)), \
                mock.patch.object(nested, 'answer', return_value=said):
            cpuinfo.write(f'processor\t: 0\nflags\t\t: fpu {flags} sse\n\n')
            cpuinfo.flush()
            return nested.usable.__wrapped__()

    def test_usable(self):
        self.assertTrue(self.usable('svm', nested.HAS))
        self.assertTrue(self.usable('vmx', nested.HAS))
        self.assertFalse(self.usable('vmx', nested.LACKS))
        self.assertFalse(self.usable('vmx', None))
        self.assertFalse(self.usable('svm_lock', nested.HAS))

    def test_machine(self):
        for usable, accelerator in ((True, 'kvm'), (False, 'tcg')):
            with mock.patch.object(nested, 'usable', return_value=usable):
                self.assertIn(accelerator,
                              Machine(Path('/build')).processor()[1])
                emulated = Machine(Path('/build'), append=[kvm.SOFT_SNP_C_BIT])
                self.assertIn('tcg', emulated.processor()[1])
                self.assertIn('+sev', emulated.processor()[3])
                machine = Machine(Path('/build'), append=[kvm.SOFT_TDX])
                self.assertEqual('phys-bits=48' in machine.processor()[3],
                                 not usable)

    def smp(self, **environment):
        """The CPUs of a machine for two, and those for the command."""
        machine = Machine(Path('/build'), terminal=False)
        machine.__dict__['image'] = Path('/image')
        with mock.patch.object(nested, 'usable', return_value=False), \
                mock.patch.object(emulator_build, 'binary',
                                  return_value='/qemu'), \
                mock.patch.dict(os.environ, environment):
            arguments = machine.arguments(Path('/run'), Path('/init'),
                                          dict.fromkeys(emulator.PORTS, 0))
            return (arguments[arguments.index('-smp') + 1],
                    'cpus=1-2' in emulator.settings(machine, Path('/run')))

    def test_first_cpu(self):
        """It is of use with the mends, and not with another QEMU."""
        self.assertEqual(self.smp(WITH_KVM_EMULATOR=''), ('2', False))
        self.assertEqual(self.smp(WITH_KVM_EMULATOR='/usr/bin/qemu'),
                         ('3', True))

    def test_other(self):
        with mock.patch.dict(os.environ, WITH_KVM_EMULATOR=sys.executable):
            self.assertEqual(emulator_build.binary(), sys.executable)
        with mock.patch.dict(os.environ, WITH_KVM_EMULATOR='/nonexistent'):
            with self.assertRaisesRegex(Failure, 'WITH_KVM_EMULATOR'):
                emulator_build.binary()


class Settings(unittest.TestCase):

    def setUp(self):
        self.machine = Machine(Path("/tmp/it's a/build"))
        self.machine.__dict__['image'] = Path('/image')

    def test_any_path(self):
        """guest-init reads what was meant, whatever is in it."""
        paths = [Path('/tmp/$(false) "b"'), Path("/dev/shm/it's")]
        with mock.patch.object(emulator, 'kept', return_value=paths):
            text = emulator.settings(self.machine, Path('/run/a b'))
        said = subprocess.run(
            ['sh', '-euc', f'{text}\necho "$share|$run|$terminal"\n'
             'for_each_kept echo'],
            check=True, text=True, capture_output=True).stdout
        self.assertEqual(said.splitlines(),
                         ["/tmp/it's a/build|/run/a b|",
                          *map(str, paths)])

    def kept(self, repo, cache, here):
        with mock.patch.object(emulator, 'REPO', Path(repo)), \
                mock.patch.object(emulator, 'cache_dir',
                                  return_value=Path(cache)), \
                mock.patch.object(Path, 'cwd', return_value=Path(here)):
            return list(map(str, emulator.kept()))

    def test_kept(self):
        self.assertEqual(self.kept('/home/a/b', '/home/a/c', '/home/a'), [])
        self.assertEqual(self.kept('/tmp/a', '/home/c', '/tmp/a/docs'),
                         ['/tmp/a'])
        self.assertEqual(self.kept('/dev/shm/a', '/var/tmp/c', '/run/d'),
                         ['/dev/shm/a', '/run/d', '/var/tmp/c'])
        self.assertEqual(self.kept('/home/a', '/home/c', '/tmp'), [])

    def test_no_secrets(self):
        with mock.patch.dict(os.environ, {
                'API_TOKEN': 'secret', 'LC_TIME': 'C', 'QMP_X': "it's",
                'LC_a b': 'no name'}, clear=True):
            text = emulator.command_script(['true'], self.machine)
        self.assertNotIn('secret', text)
        self.assertNotIn('no name', text)
        self.assertIn('export LC_TIME=C\n', text)
        self.assertIn("""export QMP_X='it'"'"'s'\n""", text)


class LibvirtsUser(unittest.TestCase):

    def test_is_added_once(self):
        with tempfile.TemporaryDirectory() as directory:
            etc = Path(directory)
            for name in ('passwd', 'group'):
                (etc / name).write_text('root:x:0:0::/root:/bin/sh')
            for _ in range(2):
                libvirt.add_user(etc)
            for name in ('passwd', 'group'):
                users = [line.split(':')[0] for line in
                         (etc / name).read_text().splitlines()]
                self.assertEqual(users, ['root', 'libvirt-qemu'])


class Virtiofsd(unittest.TestCase):

    def test_newer_one_first(self):
        with tempfile.TemporaryDirectory() as directory:
            new, old = Path(directory) / 'new', Path(directory) / 'old'
            with mock.patch.object(linux_guest, 'DAEMONS',
                                   {new: ('--a',), old: ('-o', 'a')}):
                with self.assertRaises(Failure):
                    linux_guest.daemon(Path('/s'))
                for program, options in ((old, ['-o', 'a']), (new, ['--a'])):
                    program.touch()
                    self.assertEqual(linux_guest.daemon(Path('/s')),
                                     [program, '--socket-path=/s', *options])


if __name__ == '__main__':
    unittest.main()
