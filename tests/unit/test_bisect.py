# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/series bisect, with a tree and a build that are not there."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base.steps import Failure
from workbench.build import series


class BisectTest(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.place = Path(directory.name)
        self.patches = []
        for name in ('01-one/0001-a', '01-one/0002-b', '02-two/0001-c'):
            patch = self.place / f'{name}.patch'
            patch.parent.mkdir(exist_ok=True)
            patch.write_text(name)
            self.patches.append(patch)
        self.built = []
        self.broken = []
        self.tree = mock.Mock()
        self.tree.head.return_value = 'base'
        for name, double in {
                'build_dir': lambda: self.place,
                'cache_dir': lambda: self.place,
                'patches': lambda: self.patches,
                'Tree': lambda *arguments: self.tree,
                'build_and_test': self.build_and_test}.items():
            self.enterContext(mock.patch.object(series, name, double))
        for name in ('place', 'source', 'series_tests', 'existing_tests'):
            self.enterContext(mock.patch.object(
                series.qemu, name, mock.Mock(return_value=[])))

    def build_and_test(self, tree, names):
        (_, (patch, *_)), _ = tree.am.call_args
        self.built.append(patch.stem)
        if patch.stem in self.broken:
            raise Failure('it does not link')

    def bisect(self, *arguments):
        self.built = []
        with contextlib.redirect_stdout(io.StringIO()):
            series.bisect(*arguments)
        return self.built

    def test_all(self):
        """What was built before is not built again."""
        self.assertEqual(self.bisect(), ['0001-a', '0002-b', '0001-c'])
        self.assertEqual(self.bisect(), [])

    def test_changed(self):
        """A patch that has changed, and all after it, are built again."""
        self.bisect()
        self.patches[1].write_text('changed')
        self.assertEqual(self.bisect(), ['0002-b', '0001-c'])

    def test_topic(self):
        self.assertEqual(self.bisect('02'), ['0001-c'])

    def test_failed(self):
        """It goes on after a failure, names it, and builds it again."""
        self.broken = ['0001-a']
        with self.assertRaisesRegex(Failure, '01-one/0001-a.patch$'):
            self.bisect()
        self.assertEqual(self.built, ['0001-a', '0002-b', '0001-c'])
        self.broken = []
        self.assertEqual(self.bisect(), ['0001-a'])


if __name__ == '__main__':
    unittest.main()
