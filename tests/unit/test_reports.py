# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/check reports: the list, and what it makes of a test's end."""

import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base import bases
from workbench.base.steps import Failure
from workbench.commands import check_reports as reports

ABORT = ("qemu: ../hw/ide/core.c:755: f: Assertion `a == b' failed.\n"
         'Broken pipe\n')


class List(unittest.TestCase):

    def test_list(self):
        """Each line says what happens on each QEMU, and none only passes."""
        found = reports.read(reports.LIST.read_text())
        self.assertGreater(len(found), 40)
        for one in found:
            self.assertEqual(list(one.happens), list(bases.BASES))
            self.assertLessEqual(set(one.happens.values()),
                                 {'ends', 'hangs', 'wrong', 'passes'})
            self.assertNotEqual(set(one.happens.values()), {'passes'})
            self.assertRegex(one.where, r'^\S+\.c: ')

    def test_too_short(self):
        with self.assertRaisesRegex(Failure, 'one word for each QEMU'):
            reports.read('a-test | a/b | ends | hw/a.c: x\n')


class Happens(unittest.TestCase):

    def happens(self, body: str) -> str:
        with tempfile.TemporaryDirectory() as name:
            test = Path(name) / 'build' / 'tests' / 'a-test'
            test.parent.mkdir(parents=True)
            test.write_text(f'#!/bin/sh\n{body}\n')
            test.chmod(0o755)
            return reports.happens(test, 'a/b', Path('/bin/false'))

    def test_ends(self):
        self.assertEqual(self.happens(f'cat <<"E"\n{ABORT}E\nexit 134'), 'ends')

    def test_wrong(self):
        self.assertEqual(self.happens('echo "ERROR: assertion failed (1 == 2)";'
                                      ' exit 134'), 'wrong')

    def test_hangs(self):
        with mock.patch.object(reports, 'LIMIT', 0.2):
            self.assertEqual(self.happens('exec sleep 10'), 'hangs')

    def test_passes(self):
        self.assertEqual(self.happens('echo "ok 1 /x86_64/a/b"'), 'passes')

    def test_not_there(self):
        """A path that no test has is no success."""
        with self.assertRaisesRegex(Failure, 'has no test'):
            self.happens('echo "1..0"')
