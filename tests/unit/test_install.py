# SPDX-License-Identifier: GPL-2.0-or-later
"""What meson installs is a QEMU that works without the build directory, with
firmware that scripts/build prepare has installed."""

import json
import shlex
import subprocess
import tempfile
import unittest
from pathlib import Path

from workbench.base.paths import REPO, build_dir
from workbench.check import firmware
from workbench.docs.documented import documented

MESON = '/usr/bin/meson'


class Install(unittest.TestCase):

    def setUp(self):
        self.destination = Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        command = documented('meson install -C build',
                             {'meson': MESON, 'build': build_dir()})
        subprocess.run([*shlex.split(command), '--quiet', '--no-rebuild',
                        '--destdir', self.destination],
                       check=True, capture_output=True)
        self.binary, = self.destination.rglob('qemu-system-x86_64')

    def qemu(self, *arguments):
        return subprocess.run([self.binary, *arguments], check=True, text=True,
                              capture_output=True).stdout

    def test_only_the_binary(self):
        files = [path for path in self.destination.rglob('*')
                 if not path.is_dir()]
        self.assertEqual(files, [self.binary])
        self.assertEqual(self.binary.parent.name, 'bin')

    def test_nothing_of_the_build_directory(self):
        command = documented('/opt/qemu-private/bin/qemu-system-x86_64 -L help',
                             {'/opt/qemu-private/bin/qemu-system-x86_64':
                              self.binary})
        directories = subprocess.run(
            shlex.split(command), check=True, text=True,
            capture_output=True).stdout.split()
        self.assertEqual(directories, [
            '/usr/share/qemu', '/usr/share/seabios', '/usr/lib/ipxe/qemu',
            f'{self.binary.parent}/../share/qemu'])
        for directory in directories:
            self.assertFalse(Path(directory).is_relative_to(build_dir()))
            self.assertNotIn('qemu-bundle', directory)

    def test_has_the_series(self):
        self.assertIn('memory-backend-memfd-private',
                      self.qemu('-object', 'help'))

    def test_firmware_runs(self):
        said = firmware.boot([str(self.binary)])
        self.assertEqual(firmware.missing(said), [], said)


class Prefix(unittest.TestCase):

    def test_prefix(self):
        with tempfile.TemporaryDirectory() as scratch:
            command = documented(
                'meson setup --prefix=/opt/qemu-private build',
                {'meson': MESON, 'build': scratch})
            subprocess.run([*shlex.split(command), REPO], check=True,
                           capture_output=True)
            places = json.loads(subprocess.run(
                [MESON, 'introspect', '--installed', scratch], check=True,
                capture_output=True).stdout)
        self.assertEqual(list(places.values()),
                         ['/opt/qemu-private/bin/qemu-system-x86_64'])


if __name__ == '__main__':
    unittest.main()
