# SPDX-License-Identifier: GPL-2.0-or-later
"""Small parts of the workbench, each in a way in which it could fail."""

import os
import sys
import tempfile
import types
import unittest
from pathlib import Path
from unittest import mock

from workbench.base.paths import digest, made_whole
from workbench.base.steps import Failure, counted_progress, ninja_progress
from workbench.build import qemu, series
from workbench.check import coverage, fuzzing, mutation
from workbench.trace import replay
from workbench.trace.trace import conversions, events

try:
    from workbench.guest import guest
except ModuleNotFoundError:
    # QEMU's own Python package is there only once its tree is
    for name in ('qemu', 'qemu.machine', 'qemu.qmp'):
        sys.modules[name] = types.ModuleType(name)
    sys.modules['qemu.machine'].QEMUMachine = object
    sys.modules['qemu.qmp'].QMPError = Exception
    from workbench.guest import guest

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
        self.assertIn('\nDate: stays in the message\nindex 12..34\n', text)
        self.assertIn('\n-index 12..34\n+index 56..78\n', text)
        self.assertEqual(series.normalize(text), text)


class Findings(unittest.TestCase):
    """What checkpatch.pl finds is asked once for each content."""

    def setUp(self):
        directory = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.enterContext(mock.patch.dict(os.environ,
                                          XDG_CACHE_HOME=str(directory)))
        self.tree = directory / 'tree'
        (self.tree / 'scripts').mkdir(parents=True)
        self.patch = directory / '0001-a.patch'
        self.patch.write_text('one')
        self.program('echo "$3:7: WARNING: $(cat "$3")"')

    def program(self, command):
        program = self.tree / 'scripts' / 'checkpatch.pl'
        program.write_text(f'#!/bin/sh\necho >>asked\n{command}\n')
        program.chmod(0o755)

    def find(self):
        found = series.findings(qemu.Tree(self.tree), self.patch)
        asked = self.tree / 'asked'
        return found, len(asked.read_text()) if asked.exists() else 0

    def test_asked_once(self):
        self.assertEqual(self.find(), (['7: WARNING: one'], 1))
        self.patch = self.patch.rename(self.patch.with_name('0002-a.patch'))
        self.assertEqual(self.find(), (['7: WARNING: one'], 1))

    def test_asked_again(self):
        self.find()
        self.patch.write_text('two')
        self.assertEqual(self.find(), (['7: WARNING: two'], 2))
        self.program('echo "$3:8: ERROR: new"; exit 1')
        self.assertEqual(self.find(), (['8: ERROR: new'], 3))

    def test_does_not_run(self):
        self.program('echo "no such module" >&2; exit 2')
        for times in (1, 2):
            with self.assertRaisesRegex(Failure, 'no such module'):
                self.find()
            self.assertEqual(len((self.tree / 'asked').read_text()), times)


class Faults(unittest.TestCase):

    def test_each_can_be_made(self):
        """What a deliberate fault replaces is there, once."""
        tree = qemu.tree().path
        for fault in mutation.faults():
            with self.subTest(fault.name):
                text = (tree / fault.file).read_text()
                self.assertEqual(text.count(fault.old), 1)
                self.assertNotEqual(fault.old, fault.new)


class Fuzzing(unittest.TestCase):

    def test_what_is_no_fuzzing(self):
        def check(runs, edges):
            fuzzing.check(fuzzing.Result(runs, 1), 100, edges, 1000)

        check(100, 300)
        for runs, edges in ((99, 300), (100, 299)):
            with self.assertRaises(Failure):
                check(runs, edges)


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


TRACE = """\
1@0.1:guest_memfd_manager_map ram0+0x0 at 0x0 size 0x400000
1@0.2:guest_memfd_manager_unmap ram0+0x0 at 0x0 size 0x400000
1@0.2:guest_memfd_manager_map ram0+0x0 at 0x0 size 0xc0000
1@0.2:guest_memfd_manager_map ram0+0x100000 at 0x100000 size 0x300000
1@0.3:guest_memfd_manager_reset ram0 to_private 1 ret 0
7@1.0:kvm_hc_map_gpa_range gpa 0x100000 size 0x2000 attributes 0x10 flags 0x0
9@1.1:kvm_memory_fault start 0x200000 size 0x1000 flags 0x8
9@1.2:memory_convert_end 0x200000 size 0x1000 to_private 1 changed 0x0 ret -22 in 1 ns
9@1.2:kvm_memory_fault_give_up cpu 1 gpa 0x200000 no-progress after 8 tries
7@1.3:memory_convert_end 0x100000 size 0x2000 to_private 1 changed 0x0 ret -95 in 1 ns
a line of something else
7@1.4:kvm_hc_map_gpa_range gpa 0x1 size 0x0 attributes 0x0 flags 0x0
1@1.5:guest_memfd_manager_reset ram0 to_private 1 ret 0
7@1.6:kvm_hc_map_gpa_range gpa 0x100000 size 0x1000 attributes 0x0 flags 0x0
7@1.7:memory_convert_end 0x100000 size 0x1000 to_private 0 changed 0x1000 ret 0 in 1 ns
"""

REPLAY = """\
ram 0x0 0xc0000 private
ram 0x100000 0x300000 private
fault 1 0x200000 0x1000 0x8 = stop
map 0 0x100000 0x2 0x10 = -95
map 0 0x1 0x0 0x0
reset
map 0 0x100000 0x1 0x0 = 0
"""


class Conversions(unittest.TestCase):

    def test_threads(self):
        """The exit is that of the thread, not the last one."""
        self.assertEqual([one.flags for one in conversions(TRACE)],
                         [8, None, None])


class Replays(unittest.TestCase):

    def test_steps(self):
        text, run = replay.from_trace(TRACE)
        first, rest = text.split('\n', 1)
        self.assertIn('size=4096K,initial=private', first)
        self.assertEqual(rest, REPLAY)
        self.assertFalse(run.moved)

    def test_ends_where_memory_moves(self):
        moves = ('1@2.0:guest_memfd_manager_unmap ram0+0x0 at 0x0 size '
                 '0x1000\n' + TRACE.splitlines()[-2] + '\n')
        text, run = replay.from_trace(TRACE + moves)
        self.assertTrue(run.moved)
        self.assertTrue(text.endswith(REPLAY.splitlines()[-1] + '\n'))

    def test_machine_must_be_told(self):
        other = TRACE.replace('map ram0+0x100000', 'map ram1+0x0')
        with self.assertRaisesRegex(Failure, '--qemu'):
            replay.from_trace(other)
        self.assertTrue(replay.from_trace(other, '-m 4M')[0].startswith(
            'qemu -m 4M\n'))

    def test_nothing_to_replay(self):
        with self.assertRaisesRegex(Failure, '-trace'):
            replay.from_trace('no trace at all\n')

    def test_conversions(self):
        done = list(conversions(TRACE))
        self.assertEqual([(one.start, one.result) for one in done],
                         [(0x200000, -22), (0x100000, -95), (0x100000, 0)])

    def test_timestamps(self):
        """Those of QEMU 10.0, those of 10.2, none."""
        found = list(events('7@0.5:this a 1\n'
                            '1970-01-01T00:00:00.500000Z this a 1\n'
                            'this a 1\n'
                            '1970-01-01T00:00:00Z qemu: no event\n'))
        self.assertEqual([one.thread for one in found], ['7', '', ''])
        self.assertEqual([one.time for one in found], [0.5, 0.5, 0])
        self.assertEqual({(one.name, one.field('a')) for one in found},
                         {('this', 1)})


class Launch(unittest.TestCase):
    """QEMU ends before it has answered that the guest runs."""

    def launch(self, running):
        with mock.patch.object(guest.ConsoleMachine, 'launch'), \
                mock.patch.multiple(
                    guest.Guest,
                    cmd=mock.Mock(side_effect=guest.QMPError('gone')),
                    is_running=mock.Mock(side_effect=running),
                    event_wait=mock.Mock(return_value=None),
                    serial=mock.Mock(return_value='')):
            guest.Guest.launch(guest.Guest.__new__(guest.Guest))

    def test_monitor_goes_first(self):
        self.launch([True, True, False])

    def test_goes_on(self):
        with mock.patch.object(guest, 'ENDING', 0), \
                self.assertRaises(TimeoutError):
            self.launch(lambda: True)


if __name__ == '__main__':
    unittest.main()
