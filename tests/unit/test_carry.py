# SPDX-License-Identifier: GPL-2.0-or-later
"""What changes in the series of one QEMU comes to that of another."""

import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base import bases
from workbench.base.steps import Failure
from workbench.build import carried, carry, series

IDENTITY = ('-c', 'user.name=A', '-c', 'user.email=a@example.org',
            '-c', 'commit.gpgsign=false')
LINES = [f'line {number}' for number in range(60)]


class Repo(unittest.TestCase):
    """Two bases: line 20 is another one in the second.  Patches change a line
    each; that of line 20 had to be resolved."""

    def setUp(self):
        self.repo = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.git('init', '--quiet', '--initial-branch=series')
        for name, value in (('user.name', 'A'), ('user.email', 'a@b.org')):
            self.git('config', name, value)
        self.base = self.root('base', {})
        self.old = self.series(
            'base', 'old', ('one', 5, 'ours'), ('two', 20, 'ours'),
            ('gone', 30, 'ours'), ('three', 40, 'ours'))
        self.root('base-there', {20: 'line 20 there'})
        self.there = self.series(
            'base-there', 'series', ('one', 5, 'ours'), ('only', 50, 'there'),
            ('two', 20, 'ours there'), ('three', 40, 'ours'))

    def git(self, *arguments):
        return subprocess.run(['git', *IDENTITY, *arguments], cwd=self.repo,
                              check=True, capture_output=True,
                              text=True).stdout.strip()

    def write(self, lines):
        (self.repo / 'file').write_text('\n'.join(lines) + '\n')
        self.git('add', '--all')

    def root(self, name, changes):
        self.git('checkout', '--quiet', '--orphan', f'root-{name}')
        self.write([changes.get(number, line)
                    for number, line in enumerate(LINES)])
        self.git('commit', '--quiet', f'--message={name}')
        self.git('tag', name)
        return name

    def series(self, base, name, *patches):
        """A branch with patches: subject, line, text, and more of them."""
        self.git('checkout', '--quiet', '-B', name, base)
        for subject, *changes in patches:
            lines = (self.repo / 'file').read_text().splitlines()
            for number, text in zip(changes[::2], changes[1::2]):
                lines[number] = text
            self.write(lines)
            self.git('commit', '--quiet', f'--message={subject}')
        return self.git('rev-parse', 'HEAD')

    def new(self, *patches):
        self.series('base', 'new', *patches)
        self.git('checkout', '--quiet', 'series')

    def carry(self):
        return carry.begin(self.repo, 'base', 'old', 'new', 'base-there')

    def subjects(self):
        return self.git('log', '--reverse', '--format=%s',
                        'base-there..series').split()

    def line(self, number, commit='series'):
        return self.git('show', f'{commit}:file').splitlines()[number]


class Carry(Repo):
    def test_nothing(self):
        self.new(('one', 5, 'ours'), ('two', 20, 'ours'), ('gone', 30, 'ours'),
                 ('three', 40, 'ours'))
        self.carry()
        self.assertEqual(self.git('rev-parse', 'series'), self.there)

    def test_change(self):
        """In a patch, and beside what was resolved in another one."""
        self.new(('one', 5, 'ours, better'), ('two', 20, 'ours'),
                 ('gone', 30, 'ours'), ('three', 40, 'ours'))
        self.carry()
        self.assertEqual(self.subjects(), ['one', 'only', 'two', 'three'])
        self.assertEqual(self.line(5, 'series~3'), 'ours, better')
        self.assertEqual(self.line(20), 'ours there')
        self.assertEqual(self.line(20, 'series~2'), 'line 20 there')
        self.assertEqual(self.line(50), 'there')
        self.assertEqual(self.git('symbolic-ref', '--short', 'HEAD'), 'series')
        self.assertEqual(self.git('status', '--porcelain'), '')

    def test_change_beside_what_was_resolved(self):
        self.new(('one', 5, 'ours'), ('two', 20, 'ours', 26, 'more'),
                 ('gone', 30, 'ours'), ('three', 40, 'ours'))
        self.carry()
        self.assertEqual(self.line(20, 'series~1'), 'ours there')
        self.assertEqual(self.line(26, 'series~1'), 'more')
        self.assertEqual(self.line(26, 'series~2'), 'line 26')

    def test_order(self):
        """A new patch, none any more, and others the other way round; what is
        for one base only stays so."""
        self.new(('two', 20, 'ours'), ('new', 45, 'new'), ('gone', 30, 'ours'),
                 ('one', 5, 'ours'))
        self.carry()
        self.assertEqual(self.subjects(), ['two', 'new', 'one', 'only'])
        for number, text in ((5, 'ours'), (20, 'ours there'), (30, 'line 30'),
                             (40, 'line 40'), (45, 'new'), (50, 'there')):
            self.assertEqual(self.line(number), text)

    def test_order_beside_what_was_resolved(self):
        """Two patches that conflict in one file come the other way round; one
        of them had to be resolved in another file."""
        def series(base, name, words, text):
            self.git('checkout', '--quiet', '-B', name, base)
            for index, word in enumerate(words):
                (self.repo / 'list').write_text(
                    ''.join(f'{one}\n' for one in sorted(words[:index + 1])))
                if word == 'b':
                    lines = (self.repo / 'file').read_text().splitlines()
                    lines[20] = text
                    self.write(lines)
                self.git('add', '--all')
                self.git('commit', '--quiet', f'--message={word}')

        series('base', 'old', ['a', 'b'], 'ours')
        series('base-there', 'series', ['a', 'b'], 'ours there')
        series('base', 'new', ['b', 'a'], 'ours')
        self.git('checkout', '--quiet', 'series')
        self.carry()
        self.assertEqual(self.subjects(), ['b', 'a'])
        self.assertEqual(self.line(20, 'series~1'), 'ours there')
        self.assertEqual(self.line(20), 'ours there')
        self.assertEqual(self.git('show', 'series~1:list'), 'b')
        self.assertEqual(self.git('show', 'series:list'), 'a\nb')

    def test_message(self):
        self.new(('one', 5, 'ours'), ('two', 20, 'ours'), ('gone', 30, 'ours'),
                 ('three', 40, 'ours'))
        self.git('checkout', '--quiet', 'new')
        self.git('commit', '--quiet', '--amend', '--message=three\n\nWhy')
        self.git('checkout', '--quiet', 'series')
        self.carry()
        self.assertEqual(self.git('log', '-1', '--format=%B'), 'three\n\nWhy')

    def conflict(self):
        """Two patches in a row whose changes were resolved before."""
        self.new(('one', 5, 'ours'), ('two', 20, 'better'),
                 ('gone', 30, 'ours'), ('three', 40, 'ours'),
                 ('four', 41, 'x'))
        with self.assertRaisesRegex(
                Failure, "patch 3 of 5, 'two', conflicts in file: resolve"):
            self.carry()
        self.assertIn('<<<<<<<', (self.repo / 'file').read_text())

    def test_conflict_in_more_files(self):
        """What was resolved in the patch is there, in all of its files."""
        for base, name, line, other in (
                ('base', 'old', 'ours', 'ours'),
                ('base-there', 'series', 'ours there', 'there'),
                ('base', 'new', 'better', 'ours, better')):
            self.git('checkout', '--quiet', '-B', name, base)
            (self.repo / 'other').write_text(f'{other}\n')
            self.write([line if number == 20 else text
                        for number, text in enumerate(LINES)])
            self.git('commit', '--quiet', '--message=two')
        self.git('checkout', '--quiet', 'series')
        with self.assertRaisesRegex(Failure, 'conflicts in file, other: '):
            self.carry()

    def test_conflict(self):
        self.conflict()
        with self.assertRaisesRegex(Failure, 'middle of this'):
            self.carry()
        with self.assertRaisesRegex(Failure, 'conflicts in file'):
            carry.resume(self.repo)
        self.git('add', '--all')
        with self.assertRaisesRegex(Failure, 'conflict markers'):
            carry.resume(self.repo)
        lines = self.git('show', f'{self.there}~2:file').splitlines()
        lines[20] = 'better there'
        self.write([*lines[:50], 'there', *lines[51:]])
        carry.resume(self.repo)
        self.assertEqual(self.subjects(),
                         ['one', 'only', 'two', 'three', 'four'])
        self.assertEqual(self.line(20, 'series~2'), 'better there')
        self.assertEqual(self.line(40, 'series~2'), 'line 40')
        self.assertEqual(self.line(20), 'better there')
        self.assertEqual(self.line(41), 'x')
        with self.assertRaisesRegex(Failure, 'nothing is being carried'):
            carry.resume(self.repo)

    def test_abort(self):
        self.conflict()
        carry.abort(self.repo)
        self.assertEqual(self.git('rev-parse', 'HEAD'), self.there)
        self.assertEqual(self.git('status', '--porcelain'), '')
        with self.assertRaisesRegex(Failure, 'nothing is being carried'):
            carry.abort(self.repo)

    def test_what_was_resolved_is_known(self):
        """The same conflict again needs nobody."""
        self.conflict()
        lines = self.git('show', f'{self.there}~1:file').splitlines()
        lines[20] = 'better there'
        self.write(lines)
        carry.resume(self.repo)
        self.git('reset', '--quiet', '--hard', self.there)
        self.carry()
        self.assertEqual(self.line(20), 'better there')

    def test_two_of_one_name(self):
        self.new(('one', 5, 'ours'), ('one', 6, 'ours'))
        with self.assertRaisesRegex(Failure, "two patches are called 'one'"):
            self.carry()


class Pairs(unittest.TestCase):
    """The patches of both bases."""

    def setUp(self):
        self.directory = Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(
            mock.patch.object(bases, 'PATCHES', self.directory))
        self.list = self.directory / 'differences'
        self.enterContext(mock.patch.object(series, 'DIFFERENCES', self.list))
        self.list.write_text('')
        for base in bases.BASES.values():
            base.series.mkdir()
            self.patch(base, 1, 'x: Do y')

    def patch(self, base, number, subject):
        (base.series / f'{number:04}-x.patch').write_text(
            f'From 0\nSubject: [PATCH] {subject}\n\n')

    def test_pairs(self):
        series.check_pairs()
        self.patch(bases.FIRST, 2, 'x: Do a rather long thing in\n two lines')
        title = 'x: Do a rather long thing in two lines'
        with self.assertRaisesRegex(Failure, f"'{title}' is for QEMU 10.0 on"):
            series.check_pairs()
        self.list.write_text(f'10.0 | {title} | why\n')
        series.check_pairs()
        self.patch(bases.BASES['10.2'], 2, title)
        with self.assertRaisesRegex(Failure, 'is not for QEMU 10.0 only any'):
            series.check_pairs()

    def test_carried(self):
        other = bases.BASES['10.2']
        other.carried.write_text(carried.tree_name(bases.FIRST.series) + '\n')
        series.check_carried()
        self.patch(bases.FIRST, 1, 'x: Do z')
        with self.assertRaisesRegex(Failure, 'carried to that for 10.2: run'):
            series.check_carried()

    def test_name_is_that_of_git(self):
        self.patch(bases.FIRST, 10, 'x: Do z')
        subprocess.run(['git', 'init', '--quiet'], cwd=self.directory,
                       check=True)
        subprocess.run(['git', 'add', '--all'], cwd=self.directory, check=True)
        name = subprocess.run(
            ['git', 'write-tree', '--prefix=qemu-10.0/'], cwd=self.directory,
            check=True, capture_output=True, text=True).stdout.strip()
        self.assertEqual(carried.tree_name(bases.FIRST.series), name)


if __name__ == '__main__':
    unittest.main()
