# SPDX-License-Identifier: GPL-2.0-or-later
"""What scripts/trace plot draws, from traces written by hand."""

import subprocess
import tempfile
import unittest
from pathlib import Path

from workbench.base.paths import REPO
from workbench.base.steps import Failure
from workbench.trace import plot
from workbench.trace.history import Change, Mark, Ranges, State, read

ABSENT, SHARED, PRIVATE = State
MAP = 'guest_memfd_manager_map'
UNMAP = 'guest_memfd_manager_unmap'
RESET = 'guest_memfd_manager_reset'


def trace(*lines):
    """Of pairs of a time and what QEMU says."""
    return ''.join(f'7@{1000 + time:.6f}:{text}\n' for time, text in lines)


def convert(start, size, to_private, result=0):
    return (f'memory_convert_end {start:#x} size {size:#x} to_private '
            f'{int(to_private)} changed {0 if result else size:#x} '
            f'ret {result} in 1 ns')


# One block of 4 MiB, and one of 1 MiB far above
BEGINNING = ((0, f'{MAP} ram0+0x0 at 0x0 size 0x400000'),
             (0, f'{MAP} ram1+0x0 at 0x100000000 size 0x100000'),
             (0.1, f'{RESET} ram0 to_private 0 ret 0'),
             (0.1, f'{RESET} ram1 to_private 1 ret 0'))


def history(*lines):
    return read(trace(*BEGINNING, *lines))


def changes(*lines):
    """Those after the beginning, in whole milliseconds."""
    return [(round(1000 * one.time), one.start, one.end, one.state)
            for one in history(*lines).changes if one.time > 0.15]


class Histories(unittest.TestCase):

    def test_blocks_begin_in_the_state_of_a_reset(self):
        first, second = history((1, convert(0, 4096, 0))).changes
        self.assertEqual(first, Change(0, 0, 0x400000, SHARED))
        self.assertEqual(second, Change(0, 0x100000000, 0x100100000, PRIVATE))

    def test_conversions(self):
        self.assertEqual(
            changes((1, convert(0x1000, 0x3000, 1)),
                    (2, convert(0x2000, 0x1000, 0))),
            [(1000, 0x1000, 0x4000, PRIVATE), (2000, 0x2000, 0x3000, SHARED)])

    def test_only_what_differs_changes(self):
        self.assertEqual(
            changes((1, convert(0x2000, 0x1000, 1)),
                    (2, convert(0x1000, 0x4000, 1)),
                    (3, convert(0x1000, 0x4000, 1))),
            [(1000, 0x2000, 0x3000, PRIVATE), (2000, 0x1000, 0x2000, PRIVATE),
             (2000, 0x3000, 0x5000, PRIVATE)])

    def test_across_a_hole(self):
        self.assertEqual(
            changes((1, convert(0x3ff000, 0xffc03000, 1)),
                    (2, convert(0x3ff000, 0xffc03000, 0))),
            [(1000, 0x3ff000, 0x400000, PRIVATE),
             (2000, 0x3ff000, 0x400000, SHARED),
             (2000, 0x100000000, 0x100002000, SHARED)])

    def test_failure_changes_nothing(self):
        told = history((1, convert(0x1000, 0x1000, 1, -22)))
        self.assertEqual(told.changes[2:], [])
        self.assertEqual([(round(mark.time), mark.address)
                          for mark in told.failures], [(1, 0x1000)])

    def test_reset(self):
        lines = ((1, convert(0x1000, 0x1000, 1)),
                 (2, convert(0x100001000, 0x1000, 0)),
                 (3, f'{RESET} ram0 to_private 0 ret 0'),
                 (3, f'{RESET} ram1 to_private 1 ret -5'))
        self.assertEqual(changes(*lines)[2:],
                         [(3000, 0x1000, 0x2000, SHARED)])
        self.assertEqual([round(time) for time in history(*lines).resets],
                         [3])

    def test_state_stays_with_memory(self):
        self.assertEqual(
            changes((1, convert(0x1000, 0x1000, 1)),
                    (2, f'{UNMAP} ram0+0x0 at 0x0 size 0x400000'),
                    (3, f'{MAP} ram0+0x0 at 0x800000 size 0x400000'))[1:],
            [(2000, 0, 0x400000, ABSENT), (3000, 0x800000, 0x801000, SHARED),
             (3000, 0x801000, 0x802000, PRIVATE),
             (3000, 0x802000, 0xc00000, SHARED)])

    def test_plugged_in_memory_is_new(self):
        plug = f'{MAP} +0x0 at 0x200000000 size 0x2000'
        self.assertEqual(
            changes((1, f'{RESET}  to_private 0 ret 0'), (1, plug),
                    (2, convert(0x200000000, 0x1000, 1)),
                    (2, f'{RESET}  to_private 0 ret 0'),
                    (3, f'{UNMAP} ram2+0x0 at 0x200000000 size 0x2000'),
                    (4, plug), (5, convert(0, 0x1000, 0))),
            [(1000, 0x200000000, 0x200002000, SHARED),
             (2000, 0x200000000, 0x200001000, PRIVATE),
             (3000, 0x200000000, 0x200002000, ABSENT),
             (4000, 0x200000000, 0x200002000, SHARED)])

    def test_give_up(self):
        told = history((1, convert(0x1000, 0x1000, 1)),
                       (2, 'kvm_memory_fault_give_up cpu 1 gpa 0x900000 '
                        'no-progress after 8 tries'))
        self.assertEqual([mark.address for mark in told.stops], [0x900000])

    def test_part(self):
        part = history((1, convert(0x1000, 0x1000, 1)),
                       (2, convert(0x1000, 0x1000, 0)),
                       (3, convert(0x1000, 0x1000, 1, -22)),
                       (4, convert(0x5000, 0x1000, 1))).between(1.5, 3.5)
        self.assertEqual(
            part.changes[:-1],
            [Change(1.5, 0, 0x1000, SHARED), Change(1.5, 0x1000, 0x2000,
                                                    PRIVATE),
             Change(1.5, 0x2000, 0x400000, SHARED),
             Change(1.5, 0x100000000, 0x100100000, PRIVATE)])
        self.assertEqual((part.changes[-1].start, part.changes[-1].state),
                         (0x1000, SHARED))
        self.assertEqual((len(part.conversions), len(part.failures)), (2, 1))
        self.assertEqual((part.begin, part.end), (1.5, 3.5))
        with self.assertRaisesRegex(Failure, 'nothing from second 2 to 3'):
            history((1, convert(0, 0x1000, 1))).between(2, 3)

    def test_the_end_is_seen(self):
        told = history((3, convert(0, 4096, 1)))
        self.assertGreater(told.end, told.conversions[-1].time + 0.05)

    def test_cut_off(self):
        text = trace(*BEGINNING, (1, convert(0, 4096, 1)),
                     (2, convert(0, 4096, 0)))
        self.assertEqual(len(read(text[:-30]).conversions), 1)

    def test_not_enough(self):
        for text, missing in (
                ('', 'memory_convert_end'),
                (trace(*BEGINNING), 'memory_convert_end'),
                (trace((1, convert(0, 4096, 1))), 'where memory is'),
                (f'{BEGINNING[0][1]}\n{convert(0, 4096, 1)}\n', 'timestamp')):
            with self.assertRaisesRegex(Failure, missing):
                read(text)


class RangesAsASet(unittest.TestCase):

    def test_as_a_set(self):
        """Each way in which a range can lie to what is there already."""
        for everywhere in (False, True):
            for number in range(10 ** 4):
                ranges, model = Ranges(everywhere), [everywhere] * 6
                for digits in (number % 100, number // 100):
                    start, end = sorted((digits % 10 % 6, digits // 10 % 6))
                    if start == end:
                        continue
                    value = digits % 7 < 4
                    ranges.put(start, end, value)
                    model[start:end] = [value] * (end - start)
                runs = list(ranges.runs(0, 6))
                self.assertEqual([value for start, end, value in runs
                                  for _ in range(start, end)], model)
                self.assertTrue(all(one[2] != other[2] for one, other in
                                    zip(runs, runs[1:])))


class Axis(unittest.TestCase):

    def axis(self, told):
        axis = plot.address_axis(told.changes, told.failures + told.stops)
        for below, above in zip(axis, axis[1:]):
            self.assertEqual(below.end, above.start)
            self.assertEqual(below.bottom + below.rows, above.bottom)
        self.assertAlmostEqual(sum(segment.rows for segment in axis),
                               plot.ROWS, delta=len(axis))
        return axis

    def test_holes_and_quiet_memory_are_squeezed(self):
        axis = self.axis(history((1, convert(0x200000, 0x1000, 1))))
        self.assertEqual(
            [(segment.start, segment.end, segment.text()) for segment in axis],
            [(0, 0x200000, '2 MiB'), (0x200000, 0x201000, '4 KiB'),
             (0x201000, 0x400000, '1.996 MiB'),
             (0x400000, 0x100000000, '3.996 GiB hole'),
             (0x100000000, 0x100100000, '1 MiB')])
        page = axis.pop(1)
        self.assertTrue(all(page.rows > 2 * other.rows for other in axis))

    def test_pages_side_by_side_have_one_scale(self):
        axis = self.axis(history(*(
            (1 + number, convert(0x200000 + 0x2000 * number, 0x1000, 1))
            for number in range(20))))
        self.assertEqual((axis[1].start, axis[1].end, axis[1].pieces),
                         (0x200000, 0x227000, 39))
        self.assertIn('0x210000', [text for _, text in plot.ticks(axis)])

    def test_number_of_scales_is_limited(self):
        axis = self.axis(history(*(
            (1 + number, convert(0x1000 << number, 0x1000, 1))
            for number in range(10)), *(
            (20 + number, convert(0x100000000 + (0x1000 << number), 0x1000, 0))
            for number in range(8))))
        self.assertGreater(len(axis), plot.MOST_SPLITS)
        self.assertLessEqual(len(axis), 2 * plot.MOST_SPLITS + 1)
        rows = [row for row, _ in plot.ticks(axis)]
        self.assertEqual(rows, sorted(rows))
        self.assertGreaterEqual(min(above - below for below, above in
                                    zip(rows, rows[1:])), plot.LEAST_ROWS)

    def test_failures_have_a_place(self):
        last = (1 << 64) - 0x1000
        told = history((1, convert(last, 0x1000, 1, -22)),
                       (2, convert(0, 0x1000, 1, -22)))
        axis = self.axis(told)
        self.assertEqual(axis[-1].end, 1 << 64)
        for mark in told.failures:
            row = plot.mark_row(axis, mark.address)
            self.assertGreater(row, 0)
            self.assertLess(row, axis[-1].bottom + axis[-1].rows)
        below = plot.address_axis([Change(0, 0x5000, 0x6000, SHARED)],
                                  [Mark(0, 0x1000)])
        self.assertEqual(below[0].start, 0x1000)


class Pictures(unittest.TestCase):

    def picture(self, told):
        axis = plot.address_axis(told.changes, told.failures)
        return axis, plot.raster(told.changes, axis, told.begin, told.end)

    def test_shares_are_those_of_time_and_memory(self):
        """Sums over the grid are those without one, but for rounded rows."""
        told = history(*((0.5 + 0.01 * (number // 20 * 20) + 1e-5 * number,
                          convert(0x1000 * (number * 37 % 900),
                                  0x1000 * (1 + number % 5), number % 3 != 0))
                         for number in range(200)),
                       (3, f'{UNMAP} ram0+0x3000 at 0x3000 size 0x10000'))
        axis, picture = self.picture(told)
        for state, shares in ((SHARED, picture.memory - picture.private),
                              (PRIVATE, picture.private)):
            drawn = sum(
                shares[segment.bottom:segment.bottom + segment.rows].sum() *
                (segment.end - segment.start) / segment.rows
                for segment in axis) * (told.end - told.begin) / plot.COLUMNS
            self.assertAlmostEqual(drawn / self.product(told, state), 1, 5)

    def product(self, told, wanted):
        """Bytes times seconds in a state, page by page."""
        pages, before, total = {}, 0.0, 0.0
        for one in [*told.changes, Change(told.end, 0, 0, ABSENT)]:
            total += (one.time - before) * 4096 * sum(
                state == wanted for state in pages.values())
            before = one.time
            for page in range(one.start, one.end, 4096):
                pages[page] = one.state
        return total

    def test_time_and_place(self):
        told = history((1, convert(0x200000, 0x1000, 1)),
                       (2, convert(0x200000, 0x1000, 0)),
                       (4, convert(0, 0x1000, 1, -22)))
        axis, picture = self.picture(told)
        lane = picture.private[axis[1].bottom:axis[1].bottom + axis[1].rows]
        for second, share in ((0.9, 0), (1.1, 1), (1.9, 1), (2.1, 0)):
            column = int(second / told.end * plot.COLUMNS)
            self.assertTrue((lane[:, column].round(9) == share).all(), second)
        self.assertFalse(picture.private[:axis[1].bottom].any())
        hole = axis[3]
        self.assertFalse(picture.memory[hole.bottom:hole.bottom +
                                        hole.rows].any())
        opacity = plot.colours(picture)[..., 3]
        self.assertFalse(opacity[hole.bottom:hole.bottom + hole.rows].any())
        self.assertTrue(opacity[:hole.bottom].all())

    def test_a_moment_can_be_seen(self):
        told = history((1, convert(0, 0x400000, 1)),
                       (1.000001, convert(0, 0x400000, 0)),
                       (20, convert(0, 0x1000, 0)))
        _, picture = self.picture(told)
        row = plot.colours(picture)[5].astype(int)
        moment = int(1 / told.end * plot.COLUMNS)
        self.assertGreater(abs(row[moment] - row[moment + 2]).max(), 40)
        self.assertTrue((row[moment + 2] == row[0]).all())


class Rates(unittest.TestCase):

    def test_sums(self):
        told = history((1, convert(0x1000, 0x3000, 1)),
                       (1.2, convert(0x8000, 0x1000, 1)),
                       (3, convert(0x1000, 0x2000, 0)),
                       (3.1, convert(0x1000, 0x2000, 1, -22)))
        for unit, to_private, to_shared in (('conversions', 2, 1),
                                            ('pages', 4, 2)):
            curve = plot.rate(told, unit, told.begin, told.end)
            self.assertGreaterEqual(curve.edges[-1], told.end)
            self.assertAlmostEqual(curve.to_private.sum() * curve.width,
                                   to_private)
            self.assertAlmostEqual(curve.to_shared.sum() * curve.width,
                                   to_shared)
            self.assertAlmostEqual(
                curve.to_shared[int(3 / curve.width + 1e-6)] * curve.width,
                to_shared)

    def test_width(self):
        self.assertAlmostEqual(plot.bin_width(4, 10), 0.1)
        self.assertAlmostEqual(plot.bin_width(4, 10 ** 5), 0.05)
        self.assertAlmostEqual(plot.bin_width(100, 10 ** 5), 1)
        self.assertEqual([plot.duration(width) for width in
                          (2, 0.05, 2e-5)], ['2 s', '50 ms', '20 µs'])


class Files(unittest.TestCase):

    def setUp(self):
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.directory = Path(directory.name)

    def draw(self, told, name):
        plot.draw(told, self.directory / name, 'a.trace', 'conversions')
        return (self.directory / name).read_bytes()

    def test_svg(self):
        told = history((1, convert(0x200000, 0x1000, 1)),
                       (2, convert(0x80000000, 0x1000, 1, -22)),
                       (3, f'{RESET} ram0 to_private 0 ret 0'))
        text = self.draw(told, 'a.svg').decode()
        self.assertIn('<svg', text)
        for words in ('a.trace: 2 conversions, 1 of them failed, 4 KiB '
                      'changed', '0x200000', '3.996 GiB hole', 'failed',
                      'reset'):
            self.assertIn(f'<!-- {words} -->', text)
        self.assertNotIn('VM stopped', text)
        self.assertEqual(self.draw(told, 'b.svg').decode(), text)

    def test_png(self):
        told = history((1, convert(0x200000, 0x1000, 1)))
        self.assertTrue(self.draw(told, 'a.png').startswith(b'\x89PNG'))

    def test_no_conversion_in_a_part(self):
        told = history((1, convert(0x200000, 0x1000, 1)),
                       (5, convert(0x200000, 0x1000, 1)))
        self.assertIn(b'a.trace: 0 conversions, none failed',
                      self.draw(told.between(2, 3), 'a.svg'))

    def test_size_does_not_grow_with_conversions(self):
        lines = [(1 + number / 1000,
                  convert(0x1000 * (number * 331 % 1024), 0x1000,
                          number // 7 % 2)) for number in range(20000)]
        self.assertLess(len(self.draw(history(*lines), 'a.svg')), 1 << 20)


class Command(unittest.TestCase):

    def run_it(self, *arguments):
        return subprocess.run(
            [REPO / 'scripts' / 'trace', 'plot', *arguments], check=False,
            capture_output=True, text=True)

    def test_errors_are_one_line(self):
        with tempfile.NamedTemporaryFile(suffix='.trace') as empty:
            for arguments, words in (
                    ((empty.name,), 'no conversion in the trace'),
                    ((empty.name, '--output', 'a.pdf'), '.svg or .png'),
                    ((f'{empty.name}-not',), 'No such file')):
                done = self.run_it(*arguments)
                self.assertEqual((done.returncode, done.stdout), (1, ''))
                self.assertIn(words, done.stderr)
                self.assertEqual(done.stderr.count('\n'), 1)


if __name__ == '__main__':
    unittest.main()
