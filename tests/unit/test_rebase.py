# SPDX-License-Identifier: GPL-2.0-or-later
"""The series comes to a QEMU tree of the user's own."""

import subprocess
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base import bases
from workbench.base.steps import Failure
from workbench.build import qemu, rebase

LINES = [f'line {number}' for number in range(40)]


class Rebase(unittest.TestCase):
    """The series changes lines 10 and 20.  The user's tree has no history in
    common with its base, and has changed other lines."""

    def setUp(self):
        top = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.dict(
            'os.environ', QMP_BUILD_DIR=str(top / 'build')))
        (top / 'build').mkdir()
        self.enterContext(mock.patch('sys.stdout'))
        self.tree = qemu.Tree(top / 'qemu', base=bases.FIRST)
        self.own = top / 'own'
        for path in (self.tree.path, self.own):
            path.mkdir()
            self.git(path, 'init', '--quiet', '--initial-branch=main')
            for name, value in (('user.name', 'A'), ('user.email', 'a@b.org')):
                self.git(path, 'config', name, value)
        self.commit(self.tree.path, 'QEMU', {})
        self.git(self.tree.path, 'tag', qemu.BASE_TAG)
        self.commit(self.tree.path, 'x: Do a', {10: 'series'})
        self.commit(self.tree.path, 'x: Do b', {10: 'series', 20: 'series'})

    def git(self, path, *arguments):
        return subprocess.run(['git', *arguments], cwd=path, check=True,
                              capture_output=True, text=True).stdout.strip()

    def commit(self, path, subject, changes):
        (path / 'file').write_text(''.join(
            f'{changes.get(number, line)}\n'
            for number, line in enumerate(LINES)))
        self.git(path, 'add', '--all')
        self.git(path, 'commit', '--quiet', f'--message={subject}')

    def line(self, number):
        return self.git(self.own, 'show', f'{rebase.BRANCH}:file'
                        ).splitlines()[number]

    def test_context(self):
        """Context that differs, in which git am would find no place."""
        self.commit(self.own, 'own', {8: 'own', 12: 'own'})
        rebase.run(self.tree, self.own)
        self.assertEqual([self.line(n) for n in (8, 10, 12, 20)],
                         ['own', 'series', 'own', 'series'])
        self.assertEqual(self.git(self.own, 'log', '--format=%s', 'main..'),
                         'x: Do b\nx: Do a')
        with self.assertRaisesRegex(Failure, 'has a branch private-memory'):
            rebase.run(self.tree, self.own)

    def test_conflict(self):
        """What was resolved once is resolved by itself the next time."""
        self.commit(self.own, 'own', {10: 'own'})
        with self.assertRaisesRegex(Failure, '^file in .*resolve'):
            rebase.run(self.tree, self.own)
        (self.own / 'file').write_text(''.join(
            f'{"both" if number == 10 else line}\n'
            for number, line in enumerate(LINES)))
        self.git(self.own, 'add', 'file')
        self.git(self.own, '-c', 'rerere.enabled=true', '-c',
                 'core.editor=true', 'rebase', '--continue')
        self.assertEqual((self.line(10), self.line(20)), ('both', 'series'))
        self.git(self.own, 'checkout', '--quiet', 'main')
        self.git(self.own, 'branch', '--quiet', '-D', rebase.BRANCH)
        rebase.run(self.tree, self.own)
        self.assertEqual((self.line(10), self.line(20)), ('both', 'series'))

    def test_refused(self):
        self.commit(self.own, 'own', {})
        (self.own / 'file').write_text('changed\n')
        with self.assertRaisesRegex(Failure, 'not committed'):
            rebase.run(self.tree, self.own)
        with self.assertRaisesRegex(Failure, 'no git tree'):
            rebase.run(self.tree, self.own.parent)


if __name__ == '__main__':
    unittest.main()
