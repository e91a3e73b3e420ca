# SPDX-License-Identifier: GPL-2.0-or-later
"""The QEMU that the series is applied to: Debian's, or one's own tree."""

import os
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base import bases
from workbench.base.steps import Failure
from workbench.build import qemu, series
from workbench.build.qemu import Tree

IDENTITY = ('-c', 'user.name=A', '-c', 'user.email=a@example.org',
            '-c', 'commit.gpgsign=false')
SHARED = ''.join(f'line {i}\n' for i in range(20))


class Source(unittest.TestCase):
    """A QEMU of a few files, and a series of one patch."""

    def setUp(self):
        self.directory = Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.patches = self.directory / 'qemu-10.0'
        self.patches.mkdir()
        self.build = self.directory / 'build'
        self.build.mkdir()
        self.enterContext(
            mock.patch.object(bases, 'PATCHES', self.directory))
        self.enterContext(mock.patch.dict(
            os.environ, {'QMP_BUILD_DIR': str(self.build)}))
        self.enterContext(mock.patch('sys.stdout'))
        self.own = self.directory / 'own tree'
        self.write('VERSION', '10.0.13\n')
        self.write('shared.c', SHARED)
        self.write('pc-bios/meson.build', '')
        self.write('subprojects/there.wrap', '')
        self.write('subprojects/there/file', 'not in git\n')
        self.write('.gitignore', '/subprojects/there/\n')
        self.git('init', '--quiet')
        self.commit()

    def write(self, name, text):
        path = self.own / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def git(self, *arguments, cwd=None):
        return subprocess.run(['git', *IDENTITY, *arguments],
                              cwd=cwd or self.own, check=True, text=True,
                              capture_output=True).stdout

    def commit(self):
        self.git('add', '--all')
        self.git('commit', '--quiet', '--message=own')

    def ensure(self):
        """What scripts do, each of them with no more than the build
        directory."""
        tree = qemu.tree()
        tree.ensure()
        return tree

    def use_own(self):
        qemu.remember_source(str(self.own))
        return self.ensure()

    def test_is_remembered(self):
        tree = self.use_own()
        self.assertEqual((tree.path / 'shared.c').read_text(), SHARED)
        self.assertEqual(qemu.tree().source, self.own)
        with mock.patch.object(Tree, 'create') as create:
            self.ensure()
        create.assert_not_called()
        qemu.remember_source('')
        self.assertIsNone(qemu.tree().source)

    def test_new_commit_is_seen(self):
        self.use_own()
        self.write('new.c', 'new\n')
        self.commit()
        self.assertTrue((self.ensure().path / 'new.c').exists())

    def test_work_is_seen(self):
        self.use_own()
        before = self.git('status', '--porcelain')
        self.write('shared.c', f'changed\n{SHARED}')
        tree = self.ensure()
        self.assertTrue((tree.path / 'shared.c').read_text().startswith('ch'))
        with mock.patch.object(Tree, 'create') as create:
            self.ensure()
        create.assert_not_called()
        self.git('checkout', '--', '.')
        self.assertEqual((self.ensure().path / 'shared.c').read_text(), SHARED)
        self.assertEqual(self.git('status', '--porcelain'), before)
        self.assertEqual(self.git('stash', 'list'), '')

    def test_without_git(self):
        subprocess.run(['rm', '-r', self.own / '.git'], check=True)
        self.use_own()
        self.write('new.c', 'new\n')
        self.assertTrue((self.ensure().path / 'new.c').exists())

    def test_what_is_in_no_git(self):
        tree = self.use_own()
        self.assertEqual((tree.path / 'subprojects/there/file').read_text(),
                         'not in git\n')

    def test_work_in_the_tree_is_kept(self):
        tree = self.use_own()
        (tree.path / 'shared.c').write_text('work\n')
        self.write('new.c', 'new\n')
        self.commit()
        with self.assertRaisesRegex(Failure, 'own tree.* has changed'):
            self.ensure()
        qemu.remember_source('')
        with mock.patch.object(qemu, 'qemu_tarball',
                               return_value=Path('/none/qemu_10.0.13.tar')), \
                self.assertRaisesRegex(Failure, 'Debian.* has changed'):
            self.ensure()
        self.assertEqual((tree.path / 'shared.c').read_text(), 'work\n')

    def test_no_qemu(self):
        for text in ('10.1.0\n', None):
            (self.own / 'VERSION').unlink()
            if text:
                self.write('VERSION', text)
            with self.assertRaises(Failure):
                qemu.remember_source(str(self.own))
            self.write('VERSION', '')

    def test_next_stable_release(self):
        """The series is right there too, though its lines have moved; and
        something else is not taken for it."""
        tree = self.use_own()
        (tree.path / 'shared.c').write_text(SHARED.replace('line 10', 'ours'))
        self.git('commit', '--quiet', '--all', '--signoff',
                 '--message=x: Do y', cwd=tree.path)
        series.write_export(tree)
        series.check_same(tree)
        self.write('VERSION', '10.0.14\n')
        self.write('shared.c', f'one more\n{SHARED}')
        self.commit()
        tree = self.ensure()
        self.assertEqual(tree.version(), '10.0.14')
        self.assertEqual((tree.path / 'shared.c').read_text(),
                         'one more\n' + SHARED.replace('line 10', 'ours'))
        series.check_places(tree)
        series.check_same(tree)
        (tree.path / 'shared.c').write_text('other\n')
        self.git('commit', '--quiet', '--all', '--amend', '--no-edit',
                 cwd=tree.path)
        with self.assertRaisesRegex(Failure, 'export'):
            series.check_same(tree)

    def test_merge(self):
        """git takes a patch to a tree that has changed beside it, where that
        has the files that the series was made for."""
        tree = self.use_own()
        (tree.path / 'shared.c').write_text(SHARED.replace('line 10', 'ours'))
        self.git('commit', '--quiet', '--all', '--signoff',
                 '--message=x: Do y', cwd=tree.path)
        series.write_export(tree)
        patch, = self.patches.glob('*.patch')
        self.write('shared.c', SHARED.replace('line 12', 'theirs'))
        self.commit()
        with self.assertRaises(subprocess.CalledProcessError):
            self.git('apply', patch)
        self.git('am', '--quiet', '--3way', patch)
        self.assertEqual((self.own / 'shared.c').read_text(), SHARED.replace(
            'line 10', 'ours').replace('line 12', 'theirs'))

    def test_place(self):
        self.assertEqual(qemu.place('qemu'), self.build / 'qemu')
        spaces = self.directory / 'a b'
        spaces.mkdir()
        with mock.patch.dict(os.environ, {
                'QMP_BUILD_DIR': str(spaces),
                'XDG_CACHE_HOME': str(self.directory / 'cache')}):
            tree = self.use_own()
            self.assertNotIn(' ', str(tree.path))
            self.assertEqual((spaces / 'qemu' / 'shared.c').read_text(), SHARED)
            self.assertEqual(qemu.tree().path, tree.path)


if __name__ == '__main__':
    unittest.main()
