# SPDX-License-Identifier: GPL-2.0-or-later
"""The commands in scripts/, and the rooms of the workbench behind them."""

import ast
import contextlib
import io
import os
import re
import subprocess
import unittest
from graphlib import TopologicalSorter
from pathlib import Path
from unittest import mock

from workbench.base import command
from workbench.base.paths import REPO, is_build_dir
from workbench.check.stamps import imported
from workbench.docs.doccommands import check_options

SCRIPTS = REPO / 'scripts'
WORKBENCH = SCRIPTS / 'workbench'
MOST = 8                # commands that a newcomer has to know
OLD = {path.name for path in SCRIPTS.iterdir() if path.is_symlink()}
COMMANDS = {path.name for path in SCRIPTS.iterdir() if path.is_file()} - OLD
# All, with their subcommands
WHOLE = sorted([name] + [word] * bool(word) for name in COMMANDS
               for word in ('', *command.subcommands(name)))


def run(*words, where=SCRIPTS):
    return subprocess.run([where / words[0], *words[1:]], capture_output=True,
                          text=True, check=False, timeout=60)


class Commands(unittest.TestCase):

    def help_of(self, words):
        """In this process: it is asked of all of them."""
        said = io.StringIO()
        with mock.patch('sys.argv', [*words, '--help']), \
                contextlib.redirect_stdout(said), \
                self.assertRaises(SystemExit) as end:
            command.run(words[0])
        self.assertEqual(end.exception.code, 0)
        return said.getvalue()

    def test_few(self):
        self.assertLessEqual(len(COMMANDS), MOST)

    def test_each_module_is_a_command(self):
        modules = {path.stem for path in command.COMMANDS.glob('[!_]*.py')}
        self.assertEqual(modules, {command.module(words) for words in WHOLE})

    def test_help(self):
        """Each has a line for lists, an exit status, a good example."""
        for words in WHOLE:
            with self.subTest(words):
                said = self.help_of(words)
                name = ' '.join(words)
                self.assertTrue(said.startswith(f'usage: {name} '))
                paragraphs = said.split('\n\n')
                self.assertRegex(paragraphs[1], r'^.{,70}\.$')
                self.assertIn('\nExit status: ', said)
                example = re.search(r'^example: (.*)$', said, re.M)[1]
                self.assertTrue(example.startswith(f'scripts/{words[0]}'))
                self.assertEqual(check_options(name, example), [])
                for known, line in command.subcommands(name).items():
                    self.assertRegex(said, rf'\n  {known} +{re.escape(line)}')

    def test_wrong_subcommand(self):
        for words, why in ((('check', 'avocado'), 'there is no avocado, use'),
                           (('check', '--all', 'fuzz'), 'fuzz must come first'),
                           (('trace',), 'required: SUBCOMMAND'),
                           (('build', 'kernels'), 'there is no kernels, use')):
            with self.subTest(words):
                done = run(*words)
                self.assertEqual((done.returncode, done.stdout), (2, ''))
                self.assertIn(why, done.stderr.splitlines()[-1])

    def test_failure_names_the_subcommand(self):
        done = run('trace', 'replay', '/none')
        self.assertEqual(done.returncode, 1)
        self.assertTrue(done.stderr.startswith(
            'trace replay: /none does not exist'), done.stderr)


class Renamed(unittest.TestCase):

    def test_each_says_what_to_use(self):
        program, = {path.resolve() for path in map(SCRIPTS.joinpath, OLD)}
        self.assertEqual(set(re.findall(r"^    '([\w-]+)':",
                                        program.read_text(), re.M)), OLD)
        for name in OLD:
            with self.subTest(name):
                done = run(name, '--help')
                self.assertEqual((done.returncode, done.stdout), (2, ''))
                self.assertRegex(done.stderr,
                                 rf'^scripts/{name}: use scripts/.+\n$')
                new = re.findall(r'scripts/([\w-]+) ?(\w*)', done.stderr)[1:]
                for words in new:
                    self.assertIn([word for word in words if word], WHOLE)

    def test_nothing_names_them(self):
        """No file of the repository does."""
        names = '|'.join(sorted(OLD))
        pattern = re.compile(rf"\bscripts'?(?:/| / '|, ')({names})(?![\w-])")
        seen = 0
        for directory, directories, files in os.walk(REPO):
            directories[:] = [
                name for name in directories
                if name not in ('.git', 'patches', '__pycache__') and
                not is_build_dir(Path(directory, name))]
            for path in (Path(directory, name) for name in files):
                seen += 1
                self.assertIsNone(pattern.search(path.read_text(
                    errors='replace')), path)
        self.assertGreater(seen, 100)


class Rooms(unittest.TestCase):
    """Each __init__.py says what its room is and what it may import."""

    @classmethod
    def setUpClass(cls):
        cls.may = {}
        for path in sorted(WORKBENCH.glob('*/__init__.py')):
            module = ast.parse(path.read_text())
            line = re.fullmatch(r'.+\.\n\nMay import (.+)\.',
                                ast.get_docstring(module))
            assert line and len(module.body) == 1, path
            cls.may[path.parent.name] = set(line[1].split(', ')) - {'nothing'}

    def test_all_modules_are_in_one(self):
        self.assertEqual([path.name for path in WORKBENCH.glob('*.py')],
                         ['__init__.py'])
        self.assertEqual({path.parent.name for path in
                          WORKBENCH.glob('*/*.py')}, set(self.may))

    def test_no_circles(self):
        self.assertEqual(set(TopologicalSorter(self.may).static_order()),
                         set(self.may))

    def test_imports(self):
        """A room imports what it says, and says no more than that."""
        for room, may in self.may.items():
            with self.subTest(room):
                found = {name.split('.')[0]
                         for path in (WORKBENCH / room).glob('*.py')
                         for name in imported(path.read_bytes(),
                                              f'workbench.{room}')}
                # What base runs by name
                found -= {room, 'commands'}
                self.assertEqual(found, may)

    def test_imports_are_found(self):
        text = (b'from . import a\nfrom .b import c\nfrom ..room import d\n'
                b'def f():\n    from ..other.e import g\n'
                b'import workbench.far.h\nrun("-m workbench.i.j x")\n')
        self.assertLessEqual(
            {'own.a', 'own.b', 'room.d', 'other.e', 'far.h', 'i.j'},
            set(imported(text, 'workbench.own')))


if __name__ == '__main__':
    unittest.main()
