# SPDX-License-Identifier: GPL-2.0-or-later
"""Small parts of the workbench, each in a way in which it could fail."""

import sys
import tempfile
import types
import unittest
from pathlib import Path

from workbench import series
from workbench.paths import digest, made_whole
from workbench.steps import counted_progress, ninja_progress

try:
    from workbench import guest
except ModuleNotFoundError:
    # QEMU's own Python package is there only once its tree is
    for name in ('qemu', 'qemu.machine', 'qemu.qmp'):
        sys.modules[name] = types.ModuleType(name)
    sys.modules['qemu.machine'].QEMUMachine = object
    sys.modules['qemu.qmp'].QMPError = Exception
    from workbench import guest

PATCH = '''\
From 0000000000000000000000000000000000000000 Mon Sep 17 00:00:00 2001
From: A <a@example.org>
Date: Thu, 1 Jan 1970 00:00:00 +0000
Subject: [PATCH] x: y

Date: stays in the message
index 12..34
---
 a | 2 +-

diff --git a/a b/a
index 0123abc..4567def 100644
--- a/a
+++ b/a
@@ -1 +1 @@
-index 12..34
+index 56..78
'''


class Normalize(unittest.TestCase):

    def test_only_headers_change(self):
        text = series.normalize(PATCH)
        self.assertNotIn('1970', text)
        self.assertNotIn('0123abc', text)
        self.assertIn('\nDate: stays in the message\nindex 12..34\n', text)
        self.assertIn('\n-index 12..34\n+index 56..78\n', text)
        self.assertEqual(series.normalize(text), text)


class MadeWhole(unittest.TestCase):

    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.addCleanup(self.directory.cleanup)
        self.target = Path(self.directory.name) / 'target'

    def test_failure_leaves_nothing(self):
        with self.assertRaises(ZeroDivisionError):
            with made_whole(self.target) as scratch:
                (scratch / 'half').write_text('made')
                raise ZeroDivisionError
        self.assertEqual(list(Path(self.directory.name).iterdir()), [])

    def test_success_is_complete(self):
        with made_whole(self.target) as scratch:
            (scratch / 'all').write_text('made')
            self.assertFalse(self.target.exists())
        self.assertEqual((self.target / 'all').read_text(), 'made')

    def test_first_of_two_wins(self):
        with made_whole(self.target) as scratch:
            (scratch / 'second').touch()
            with made_whole(self.target) as first:
                (first / 'first').touch()
        self.assertTrue((self.target / 'first').exists())


class Digest(unittest.TestCase):

    def test_boundaries_count(self):
        self.assertNotEqual(digest(['ab', 'c']), digest(['a', 'bc']))


class ProgressBars(unittest.TestCase):

    def test_ninja(self):
        self.assertEqual(ninja_progress('[1/4] Compiling x'), 0.25)
        self.assertIsNone(ninja_progress('warning: [1/4]'))

    def test_counted(self):
        progress = counted_progress(2, 'CC')
        self.assertEqual([progress(line) for line in ('CC', 'x', 'CC', 'CC')],
                         [0.5, 0.5, 0.99, 0.99])


class Reports(unittest.TestCase):

    def failures(self, text):
        return guest.Report(text).failures()

    def test_good(self):
        self.assertEqual(self.failures('ok 1 - a\n# x\nok 2 - b\n1..2\n'), [])

    def test_not_ok(self):
        self.assertEqual(self.failures('not ok 1 - a\n1..1\n'),
                         ['not ok 1 - a'])

    def test_cut_off(self):
        self.assertTrue(self.failures('ok 1 - a\n'))
        self.assertTrue(self.failures(''))

    def test_missing(self):
        self.assertTrue(self.failures('ok 1 - a\nok 3 - c\n1..3\n'))
        self.assertTrue(self.failures('ok 1 - a\n1..2\n'))

    def test_skipped(self):
        self.assertEqual(guest.Report('1..0 # SKIP no KVM\n').skipped(),
                         'no KVM')


if __name__ == '__main__':
    unittest.main()
