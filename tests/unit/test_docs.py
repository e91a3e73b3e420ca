# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands in the documentation are found, run and compared."""

import contextlib
import io
import json
import os
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base.steps import Failure
from workbench.build import qemu
from workbench.commands import check_qemu
from workbench.docs import doccommands, doclinks
from workbench.docs.doccommands import Block, Command, Shell, blocks, session
from workbench.docs.documented import documented

PAGE = '''\
.. run: host

.. code-block:: console

   $ echo one \\
         two
   one two
   $ false
   $ echo $?
   1

Text.

.. code-block:: console

   $ nobody runs this

* In a list:

  .. run: covered-by nothing

  .. code-block:: console

     $ scripts/check

.. code-block:: sh

   rm file

Here it comes::

   rm file
'''


class Pages(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.page = Path(directory.name) / 'page.rst'
        self.page.write_text(PAGE)
        patch = mock.patch.object(doccommands, 'REPO', Path(directory.name))
        patch.start()
        self.addCleanup(patch.stop)
        self.wrong = []
        self.blocks = list(blocks(self.page, self.wrong))

    def test_blocks(self):
        self.assertEqual([(block.where, block.kind, block.detail)
                          for block in self.blocks],
                         [('page.rst:3', 'host', ''),
                          ('page.rst:22', 'covered-by', 'nothing')])
        self.assertEqual([(command.text, command.output)
                          for command in self.blocks[0].commands],
                         [('echo one \\\n      two', ['one two']),
                          ('false', []), ('echo $?', ['1'])])

    def test_wrong(self):
        """What nothing runs, and what may be a command without saying so."""
        self.assertEqual([text.split(': ')[0] for text in self.wrong],
                         ['page.rst:14', 'page.rst:26', 'page.rst:30'])

    def test_covered(self):
        for name, good, bad in (
                ('test', 'set -e\nexec echo a "b"', 'echo a b c'),
                ('test.py', "x(documented('echo a b', {'a': z}))",
                 "'echo a b'; documented('echo b a')"),
                ('page.rst', PAGE + '.. run: host\n\n'
                 '.. code-block:: console\n\n   $ echo a b   # so\n',
                 PAGE + '\necho a b\n')):
            with self.subTest(name), \
                    mock.patch.object(doccommands, 'PAGES', [self.page]):
                test = self.page.with_name(name)
                block = Block('', 'covered-by', name,
                              [Command('echo a b', '$ ')])
                test.write_text(good)
                self.assertEqual(doccommands.check_block(block), [])
                test.write_text(bad)
                self.assertEqual(len(doccommands.check_block(block)), 1)

    def test_covered_by_meson(self):
        """All words count, and no others: not those of the help."""
        info = self.page.parent / 'meson-info'
        info.mkdir()
        (info / 'intro-tests.json').write_text(json.dumps([
            {'name': 'n', 'cmd': [f'{self.page.parent}/scripts/check']}]))
        with mock.patch.object(doccommands, 'build_dir',
                               return_value=self.page.parent):
            for text, wrong in (('scripts/check', 0),
                                ('scripts/check --suite fuzz', 1)):
                block = Block('', 'covered-by', 'n', [Command(text, '$ ')])
                self.assertEqual(len(doccommands.check_block(block)), wrong)

    def test_replaced(self):
        self.assertEqual(documented('a -C b bb', {'b': 'c d'}),
                         "a -C 'c d' bb")
        with self.assertRaises(ValueError):
            documented('a b', {'c': 'd'})


class Answers(unittest.TestCase):

    def test_matches(self):
        command = Command('', '$ ', ['one', '...', 'a ... c'])
        self.assertTrue(command.matches('one\ntwo\nthree\na b c\n'))
        self.assertTrue(command.matches('one\na b c'))
        self.assertFalse(command.matches('one\na b d\n'))
        self.assertFalse(command.matches('one\na b c\nmore\n'))
        self.assertTrue(command.matches('one\na b c\nmore\n', whole=False))

    def test_holds(self):
        shown = {'a': [{'b': 1}], 'c': '...'}
        self.assertTrue(doccommands.holds({'a': [{'b': 1, 'x': 2}], 'c': 3},
                                          shown))
        self.assertFalse(doccommands.holds({'a': [{'b': 1}]}, shown))
        self.assertFalse(doccommands.holds({'a': [], 'c': 3}, shown))

    def test_qmp(self):
        command, = session(['-> {"a":', '    1}', '<- {"b":', '    2}'])
        self.assertEqual(command.text, '{"a":\n    1}')
        self.assertEqual(command.output, ['<- {"b":', '    2}'])


class Runs(unittest.TestCase):

    def setUp(self):
        self.shell = Shell(lambda text: None)
        self.addCleanup(self.shell.close)
        self.limit = mock.patch.object(doccommands, 'LIMIT', 10)
        self.limit.start()
        self.addCleanup(self.limit.stop)

    def run_lines(self, *lines):
        self.shell.run(Block('page:1', 'host', '', list(session(lines))))

    def test_session(self):
        self.run_lines('$ word=remembered', '$ echo $word', 'remembered',
                       '$ (exit 3)', '$ echo $?', '3')

    def test_background(self):
        self.run_lines('$ { echo there; exec sleep 60; } &', 'there',
                       '$ kill $!')

    def test_prompt(self):
        """The answer is waited for."""
        program = ('count=0; printf "(qemu) "; while read word; do '
                   'echo "$word"; [ "$word" = quit ] && exit; '
                   'count=$((count + 1)); echo $count; printf "(qemu) "; done')
        self.run_lines(f"$ bash -c '{program}'", '(qemu) ask', '3',
                       '(qemu) quit')

    def test_failure(self):
        with self.assertRaisesRegex(Failure, 'page:1: false: exit status 1'):
            self.run_lines('$ false')

    def test_other_output(self):
        with self.assertRaisesRegex(Failure, 'differs from the page:\ntwo'):
            self.run_lines('$ echo two', 'one')


class Options(unittest.TestCase):

    def test_of_our_commands(self):
        for command, wrong in (('scripts/check fuzz --keep', 0),
                               ('scripts/check fuzz --keep --dry-run', 1),
                               ('scripts/check nosuch --all', 1),
                               ('scripts/no-such', 1)):
            with self.subTest(command):
                self.assertEqual(
                    len(doccommands.check_options('page', command)), wrong)


class Links(unittest.TestCase):

    def test_html(self):
        with tempfile.TemporaryDirectory() as directory:
            page = Path(directory) / 'a.html'
            page.write_text('<p id="x"><a href="#x"><a href="a.html#y">'
                            '<a href="b.html"><a href="https://e.example/">')
            self.assertEqual(doclinks.broken_html(page.parent),
                             ['a.html: a.html#y has no such place',
                              'a.html: b.html does not exist'])

    def test_rst(self):
        with tempfile.TemporaryDirectory() as directory:
            page = Path(directory) / 'a.rst'
            page.write_text('`a <a.rst>`_ `b <b.rst>`_\n'
                            '``scripts/no-such`` ``no such/file``')
            self.assertEqual(doclinks.broken_rst(page),
                             ['a.rst: b.rst does not exist'])
            self.assertEqual(doclinks.missing_files(page),
                             ['a.rst: scripts/no-such does not exist'])


class QemuDocs(unittest.TestCase):

    def test_a_warning_is_not_forgotten(self):
        with tempfile.TemporaryDirectory() as directory, \
                mock.patch.dict(os.environ, QMP_BUILD_DIR=directory), \
                contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()):
            tree = qemu.Tree(Path(directory))
            pages = tree.path / 'docs' / 'system'
            pages.mkdir(parents=True)
            (tree.path / 'VERSION').write_text('10.0.99')
            (tree.path / 'docs' / 'conf.py').write_text(
                'def setup(app):\n'
                "    app.add_config_value('kerneldoc_werror', 0, 'env')\n")
            (pages / 'private-memory.rst').write_text('A\n=\n\nText.\n')
            index = pages.with_name('index.rst')
            text = 'A\n=\n\n.. toctree::\n\n   system/private-memory\n'
            index.write_text(f'{text}\n:ref:`nowhere`\n')
            for _ in range(2):
                with self.assertRaisesRegex(Failure, 'exit status'):
                    check_qemu.build_docs(tree)
            index.write_text(text)
            check_qemu.build_docs(tree)


if __name__ == '__main__':
    unittest.main()
