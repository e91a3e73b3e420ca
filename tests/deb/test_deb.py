# SPDX-License-Identifier: GPL-2.0-or-later
"""
The Debian packages, installed by apt where Debian's own are: what
docs/install.rst says to do on Debian 13 is done in one.
"""

import os
import re
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from workbench.base.paths import REPO, build_dir
from workbench.build import chroot, deb
from workbench.check import firmware
from workbench.docs.documented import documented

DEBIANS_OWN = ['qemu-system-x86', 'qemu-system-gui',
               'qemu-system-modules-spice', 'qemu-block-extra', 'qemu-utils']
COMMON = 'qemu-system-x86 qemu-system-common'
BUILD = documented('scripts/build deb',
                   {'scripts/build': REPO / 'scripts' / 'build'})
INSTALL = documented('apt install ./qemu-*.deb')
REMOVE = documented("apt remove '?version(private)'")
TEST = REPO / 'tests/avocado/guests.py:SwProtected.test_convert_explicit_4k'
# A build of its own, for one type of machine
LEFT_OUT = {'/usr/bin/qemu-system-x86_64-microvm',
            '/usr/share/man/man1/qemu-system-x86_64-microvm.1.gz'}


class Packages(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        subprocess.run(shlex.split(BUILD), check=True)
        packages = sorted((build_dir() / 'deb').glob('*.deb'))
        cls.tarball = chroot.make(
            'qemu-installed', DEBIANS_OWN, packages,
            f'dpkg --listfiles {COMMON} >debians-own && {INSTALL}')
        cls.root = cls.enterClassContext(chroot.unpacked(cls.tarball))

    def command(self, *command):
        result = subprocess.run(chroot.inside(self.root, command), text=True,
                                capture_output=True, check=False)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result.stdout

    def test_has_the_series(self):
        objects = self.command('qemu-system-x86_64', '-object', 'help').split()
        self.assertIn('memory-backend-memfd-private', objects)
        self.assertIn('sw-protected-vm', objects)

    def test_nothing_is_lost(self):
        before = (self.root / 'files' / 'debians-own').read_text().split('\n')
        after = self.command('dpkg', '--listfiles', *COMMON.split())
        self.assertEqual(set(before) - set(after.split('\n')), LEFT_OUT)

    def test_all_are_of_one_version(self):
        versions = self.command(
            'dpkg-query', '--show', '--showformat', '${Version}\n',
            *DEBIANS_OWN, *COMMON.split())
        self.assertEqual(len(set(versions.split())), 1, versions)
        self.assertIn(deb.SUFFIX, versions)

    def test_firmware_runs(self):
        said = firmware.boot(chroot.inside(self.root, ['qemu-system-x86_64']))
        self.assertEqual(firmware.missing(said), [], said)

    def test_private_memory(self):
        with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
            binary = Path(directory) / 'qemu-system-x86_64'
            # The paths that it is given are the same in there
            same = {Path(path): path for path in
                    (str(build_dir()), '/tmp', '/var/tmp')}
            command = chroot.inside(self.root, [binary.name], same)
            binary.write_text(f'#!/bin/sh\nexec {shlex.join(command)} "$@"\n')
            binary.chmod(0o755)
            result = subprocess.run(
                [REPO / 'scripts' / 'check', 'guest', '--avocado-run', TEST],
                text=True, check=False,
                stdin=subprocess.DEVNULL, capture_output=True,
                env={**os.environ, 'QMP_QEMU_BINARY': str(binary)})
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_removal(self):
        with chroot.unpacked(self.tarball) as root:
            subprocess.run(chroot.inside(root, ['sh', '-c', REMOVE]),
                           check=True, capture_output=True)
            left = subprocess.run(
                chroot.inside(root, ['dpkg-query', '--show', '--showformat',
                                     '${db:Status-Status} ${Version}\n']),
                check=True, capture_output=True, text=True).stdout
        self.assertNotRegex(left, rf'installed .*{re.escape(deb.SUFFIX)}')


class Version(unittest.TestCase):

    def is_less(self, one, other):
        return not subprocess.run(['dpkg', '--compare-versions', one, 'lt',
                                   other], check=False).returncode

    def test_order(self):
        """Above Debian's, rebuilt or not, and below its next one."""
        debians = deb.source_package().stem.partition('_')[2]
        ours = debians + deb.SUFFIX
        self.assertTrue(self.is_less(debians, ours))
        self.assertTrue(self.is_less(debians + '+b1', ours))
        revision, number = re.fullmatch(r'(.*?)(\d+)', debians).groups()
        self.assertTrue(self.is_less(ours, f'{revision}{int(number) + 1}'))
        self.assertTrue(self.is_less(ours, debians + '.1'))


if __name__ == '__main__':
    unittest.main()
