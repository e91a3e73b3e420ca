# SPDX-License-Identifier: GPL-2.0-or-later
"""Which QEMU the series is on, and where its source comes from."""

import hashlib
import os
import tempfile
import unittest
from dataclasses import replace
from pathlib import Path
from unittest import mock

from workbench.base import bases, command
from workbench.base.paths import REPO, build_dir
from workbench.base.steps import Failure
from workbench.build import emulator_build, qemu, sources

OTHER = bases.BASES['10.2']


class Current(unittest.TestCase):
    def setUp(self):
        self.build = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.environ = self.enterContext(mock.patch.dict(os.environ))
        self.environ['QMP_BUILD_DIR'] = str(self.build)
        self.environ.pop('QMP_BASE', None)

    def test_current(self):
        self.assertEqual(bases.current(), bases.FIRST)
        self.environ['QMP_BASE'] = '10.2'
        self.assertEqual(bases.current(), OTHER)
        bases.remember('10.0')
        with self.assertRaisesRegex(Failure, 'is for QEMU 10.0, not 10.2'):
            bases.current()
        del self.environ['QMP_BASE']
        self.assertEqual(bases.current(), bases.FIRST)
        bases.remember('10.2')
        self.assertEqual(bases.current(), OTHER)
        self.assertEqual(qemu.tree().series, OTHER.series)

    def test_none(self):
        self.environ['QMP_BASE'] = '9.2'
        with self.assertRaisesRegex(Failure, 'no series for QEMU 9.2, only '
                                    'for 10.0, 10.2'):
            bases.current()

    def test_option(self):
        """It is known to all that comes after it, and chooses the build
        directory."""
        del self.environ['QMP_BUILD_DIR']
        self.assertEqual(build_dir(), REPO / 'build')
        parser = command.new_parser('x', example='y')
        parser.parse_args(['--base', '10.2'])
        self.assertEqual(self.environ['QMP_BASE'], '10.2')
        self.assertEqual(build_dir(), REPO / 'build-10.2')
        with mock.patch('sys.stderr'), self.assertRaises(SystemExit):
            parser.parse_args(['--base', '9.2'])

    def test_configure(self):
        """An option that a base does not have is left out there only."""
        own, other = (qemu.options(base=base)
                      for base in (bases.FIRST, OTHER))
        self.assertEqual(set(own) - set(other),
                         {'--enable-avx2', '--enable-avx512bw'})
        self.assertEqual(set(other) - set(own), set())

    def test_emulated_machine(self):
        """It is the same for all."""
        bases.remember('10.2')
        self.assertEqual(emulator_build.tree().base, bases.FIRST)


class Tarball(unittest.TestCase):
    """One that Debian has no more."""

    def setUp(self):
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.cache = directory / 'cache'
        self.sources = directory / 'sources'
        self.sources.mkdir()
        self.environ = self.enterContext(mock.patch.dict(
            os.environ, XDG_CACHE_HOME=str(self.cache)))
        self.environ.pop('QMP_SOURCES', None)
        self.enterContext(mock.patch('sys.stdout'))
        self.enterContext(mock.patch.object(sources.Apt, 'update'))
        self.enterContext(mock.patch.object(
            sources.Apt, 'versions', return_value=['1:11.1.2+ds-3']))
        content = b'tarball'
        self.base = replace(OTHER, sha256=hashlib.sha256(content).hexdigest())
        self.file = self.sources / 'qemu_10.2.2+ds.orig.tar.xz'
        self.file.write_bytes(content)

    def test_debian_has_none(self):
        with self.assertRaisesRegex(
                Failure, 'Debian has no QEMU 10.2.2.* in sid.*QMP_SOURCES'):
            sources.qemu_tarball(self.base)

    def test_from_a_directory(self):
        self.environ['QMP_SOURCES'] = str(self.sources)
        found = sources.qemu_tarball(self.base)
        self.assertEqual(found.read_bytes(), b'tarball')
        self.assertIn(self.cache, found.parents)
        # It is cached then
        del self.environ['QMP_SOURCES']
        self.assertEqual(sources.qemu_tarball(self.base, update=True), found)

    def test_another_one(self):
        self.environ['QMP_SOURCES'] = str(self.sources)
        self.file.write_bytes(b'other')
        with self.assertRaisesRegex(Failure, 'is not the one whose sha256'):
            sources.qemu_tarball(self.base)
        self.assertEqual(list(self.cache.rglob('*.xz')), [])


if __name__ == '__main__':
    unittest.main()
