# SPDX-License-Identifier: GPL-2.0-or-later
"""The series is cut into topics."""

import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base import bases
from workbench.base.steps import Failure
from workbench.build import carried, qemu, series, topics


class Topics(unittest.TestCase):
    """A tree with three commits, which are two topics."""

    def setUp(self):
        top = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.patches = top / 'patches'
        (self.patches / 'topics').mkdir(parents=True)
        self.enterContext(mock.patch.object(bases, 'PATCHES', self.patches))
        self.enterContext(mock.patch.dict(
            'os.environ', QMP_BUILD_DIR=str(top / 'build')))
        (top / 'build').mkdir()
        (self.patches / 'qemu-10.0').mkdir()
        self.tree = qemu.Tree(top / 'qemu', base=bases.FIRST)
        self.tree.path.mkdir()
        self.git('init', '--quiet', '--initial-branch=series')
        (self.tree.path / 'VERSION').write_text('10.0.13\n')
        self.commit('QEMU')
        self.git('tag', qemu.BASE_TAG)
        for subject in ('x: Do a', 'x: Do b', 'x: Do c'):
            self.commit(subject)
        self.topic('01-one', 'x: Do a')
        self.topic('02-two', 'x: Do b')
        # Nothing here depends on where QEMU is from
        self.enterContext(mock.patch.object(qemu.Tree, 'remember'))

    def git(self, *arguments):
        return subprocess.run(
            ['git', '-c', 'user.name=A', '-c', 'user.email=a@example.org',
             *arguments], cwd=self.tree.path, check=True, capture_output=True,
            text=True).stdout.strip()

    def commit(self, subject):
        (self.tree.path / subject.split()[-1]).write_text(subject)
        self.git('add', '--all')
        self.git('commit', '--quiet', f'--message={subject}')

    def topic(self, name, begins):
        (self.patches / 'topics' / f'{name}.txt').write_text(
            f'Begins with: {begins}\n\nTitle of {name}\n\nIt does it.\n')

    def exported(self):
        return sorted(str(name) for name in series.exported(
            self.tree.base.series))

    def test_export(self):
        self.assertEqual(series.write_export(self.tree), 3)
        self.assertEqual(self.exported(), [
            '01-one/0000-cover-letter.txt', '01-one/0001-x-Do-a.patch',
            '02-two/0000-cover-letter.txt', '02-two/0001-x-Do-b.patch',
            '02-two/0002-x-Do-c.patch'])
        letter = (self.tree.base.series / '02-two' / series.COVER).read_text()
        self.assertIn('Subject: [PATCH 0/2] Title of 02-two\n', letter)
        self.assertIn('It does it.\n\nBase: QEMU 10.0.13, after topic 01-one\n',
                      letter)
        self.assertEqual([series.subject(patch) for patch in
                          qemu.patches(self.tree.base.series)],
                         ['x: Do a', 'x: Do b', 'x: Do c'])
        series.check_same(self.tree)

    def test_cut_elsewhere(self):
        """What was exported before, as one series or in other topics, goes."""
        (self.tree.base.series / '0001-x-Do-a.patch').write_text('old')
        series.write_export(self.tree)
        (self.patches / 'topics' / '02-two.txt').unlink()
        self.topic('02-other', 'x: Do c')
        with self.assertRaisesRegex(Failure, 'export again'):
            series.check_same(self.tree)
        series.write_export(self.tree)
        self.assertEqual(self.exported(), [
            '01-one/0000-cover-letter.txt', '01-one/0001-x-Do-a.patch',
            '01-one/0002-x-Do-b.patch', '02-other/0000-cover-letter.txt',
            '02-other/0001-x-Do-c.patch'])
        self.assertFalse((self.tree.base.series / '02-two').exists())

    def test_wrong(self):
        self.topic('02-two', 'x: Do d')
        with self.assertRaisesRegex(Failure, "no commit is 'x: Do d'.*02-two"):
            topics.cut(self.tree)
        self.topic('01-one', 'x: Do c')
        self.topic('02-two', 'x: Do a')
        with self.assertRaisesRegex(Failure, 'not in the order'):
            topics.cut(self.tree)
        self.topic('01-one', 'x: Do b')
        self.topic('02-two', 'x: Do c')
        with self.assertRaisesRegex(Failure, 'the first one is not'):
            topics.cut(self.tree)
        (self.patches / 'topics' / '01-one.txt').write_text('x: Do a\n')
        with self.assertRaisesRegex(Failure, '01-one.txt: this is not'):
            topics.cut(self.tree)

    def test_name(self):
        """A directory with directories is called what git calls it."""
        series.write_export(self.tree)
        top = self.tree.base.series
        for name in ('a', 'a.b', 'a-b'):
            (top / name).write_text(name)
        subprocess.run(['git', 'init', '--quiet', top], check=True)
        subprocess.run(['git', 'add', '--all'], cwd=top, check=True)
        name = subprocess.run(['git', 'write-tree'], cwd=top, check=True,
                              capture_output=True, text=True).stdout.strip()
        shutil.rmtree(top / '.git')
        self.assertEqual(carried.tree_name(top), name)


if __name__ == '__main__':
    unittest.main()
