# SPDX-License-Identifier: GPL-2.0-or-later
"""
Draw the history of private memory: its state over time, and how fast it is
converted.

What is drawn is a picture of fixed size, so that neither the time it takes nor
the file grows much with the number of conversions.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter

from .history import Change, History, Mark, State

PAGE = 4096
ROWS, COLUMNS = 640, 1200   # of the picture
LEAST_ROWS = 17             # of a segment: room for a line of text
MOST_SPLITS = 12            # of the address axis
SMALL_HOLE = 1 << 20        # as those for ROMs of a PC

# Can be told apart by colour-blind eyes, and in grey
SHARED, PRIVATE, TO_SHARED = '#f6d88a', '#0b4f8a', '#d98e04'
MIXED = 0.35                # of the way to private: least that is seen
BLENDS = 16                 # shades between; few, so that files are small


@dataclass(frozen=True)
class Segment:
    """A part of the address axis, with a scale of its own."""
    start: int
    end: int
    pieces: int             # of it that are converted independently
    states: frozenset[State]
    bottom: int = 0
    rows: int = 0

    def row(self, address: int) -> float:
        return self.bottom + (address - self.start) * self.rows / (
            self.end - self.start)

    def quiet(self) -> bool:
        return len(self.states) < 2

    def text(self) -> str:
        return readable(self.end - self.start) + (
            '' if self.states else ' hole')


def readable(size: int) -> str:
    """Bytes, in the largest unit of which there is one at least."""
    unit = max(0, min((size.bit_length() - 1) // 10, 6))
    return f'{size / (1 << 10 * unit):.4g} ' + (
        'B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[unit]


def cut(changes: list[Change]) -> list[Segment]:
    """Cut the address space so that each piece changes as one."""
    cuts = sorted({at for change in changes
                   for at in (change.start, change.end)})
    seen = numpy.zeros((len(State), len(cuts) - 1), bool)
    for change in changes:
        seen[change.state, bisect_left(cuts, change.start):
             bisect_left(cuts, change.end)] = True
    found: list[Segment] = []
    for start, end, states in zip(cuts, cuts[1:], seen.T, strict=False):
        had = frozenset(state for state in State if state and states[state])
        piece = Segment(start, end, 1, had)
        # What never changes needs no cut, nor does a small hole in it
        if found and piece.quiet() and found[-1].quiet() and (
                had == found[-1].states or
                not had and end - start < SMALL_HOLE):
            piece = Segment(found[-1].start, end, 1, found[-1].states)
            found.pop()
        found.append(piece)
    return found


def split(found: list[Segment]) -> list[list[Segment]]:
    """Where the scale has to change so that what is small can be seen."""
    def length(part: list[Segment]) -> int:
        return part[-1].end - part[0].start

    def size(piece: Segment) -> int:
        return piece.end - piece.start

    parts = [found]
    for _ in range(MOST_SPLITS):
        candidates = [part for part in parts
                      if 8 * max(map(size, part)) > length(part) and
                      max(map(size, part)) > 4 * min(map(size, part))]
        if not candidates:
            break
        part = max(candidates, key=length)
        at = max(range(len(part)), key=lambda number: size(part[number]))
        where = parts.index(part)
        parts[where:where + 1] = [one for one in (
            part[:at], part[at:at + 1], part[at + 1:]) if one]
    return parts


def address_axis(changes: list[Change], marks: list[Mark]) -> list[Segment]:
    """
    All addresses, ascending, in segments of a whole number of rows.

    How many rows there are for a segment is a matter of how much happens in
    it, not of its size.
    """
    ends = [change.end for change in changes]
    highest = max((mark.address for mark in marks), default=0)
    starts = [change.start for change in changes]
    lowest = min([mark.address for mark in marks] + starts)
    nothing = [Change(0, lowest, min(starts), State.ABSENT),
               Change(0, max(ends), highest + PAGE, State.ABSENT)]
    parts = split(cut(changes + [one for one in nothing
                                 if one.start < one.end]))
    weights = [0.3 if part[0].quiet() and len(part) == 1 else
               1 + math.log2(len(part)) for part in parts]
    spare = ROWS - LEAST_ROWS * len(parts)
    axis: list[Segment] = []
    for part, weight in zip(parts, weights, strict=True):
        rows = LEAST_ROWS + round(spare * weight / sum(weights))
        axis.append(Segment(
            part[0].start, part[-1].end, len(part),
            frozenset().union(*(piece.states for piece in part)),
            axis[-1].bottom + axis[-1].rows if axis else 0, rows))
    return axis


def mark_row(axis: list[Segment], address: int) -> float:
    """Where to put a mark: in the segment, not on its border."""
    number = bisect_right([segment.start for segment in axis], address) - 1
    segment, margin = axis[number], LEAST_ROWS / 2
    return min(max(segment.row(address), segment.bottom + margin),
               segment.bottom + segment.rows - margin)


@dataclass(frozen=True)
class Raster:
    """For each row and column, shares of what it stands for, 0 to 1."""
    memory: numpy.ndarray       # was there
    private: numpy.ndarray      # and was private


class _Cells:
    """
    Addresses, cut where a state changes and where a row ends, and how much
    of each row is memory and how much of it is private, now.
    """

    def __init__(self, changes: list[Change], axis: list[Segment]) -> None:
        top = axis[-1]
        self.rows = top.bottom + top.rows
        edges = [segment.start + (segment.end - segment.start) * row //
                 segment.rows for segment in axis
                 for row in range(segment.rows)] + [top.end]
        self._cuts = sorted({*edges, *(at for change in changes
                                       for at in (change.start, change.end))})
        self._row = numpy.array([bisect_right(edges, at) - 1
                                 for at in self._cuts[:-1]])
        self._share = numpy.array(
            [(end - start) / (edges[row + 1] - edges[row]) for start, end, row
             in zip(self._cuts, self._cuts[1:], self._row, strict=False)])
        self._first = [bisect_left(self._cuts, edge) for edge in edges]
        self._state = numpy.zeros(len(self._row), int)
        self.memory = numpy.zeros(self.rows)
        self.private = numpy.zeros(self.rows)

    def put(self, change: Change) -> None:
        these = slice(bisect_left(self._cuts, change.start),
                      bisect_left(self._cuts, change.end))
        self._state[these] = change.state
        first, last = self._row[these.start], self._row[these.stop - 1]
        # Rows at the ends may have other cells too
        whole = slice(self._first[first], self._first[last + 1])
        row, share = self._row[whole] - first, self._share[whole]
        for sums, states in ((self.memory, self._state[whole] > 0),
                             (self.private,
                              self._state[whole] == State.PRIVATE)):
            sums[first:last + 1] = numpy.bincount(row, share * states)


def raster(changes: list[Change], axis: list[Segment], begin: float,
           end: float) -> Raster:
    """Mean over time of what is in each row, for each column."""
    cells = _Cells(changes, axis)
    memory = numpy.zeros((COLUMNS, cells.rows))
    private = numpy.zeros((COLUMNS, cells.rows))

    def add(start: float, stop: float) -> None:
        """What cells are now was so from one column's place to another."""
        first, last = int(start), min(int(stop), COLUMNS - 1)
        for column in {first, last}:
            share = min(stop, column + 1) - max(start, column)
            memory[column] += share * cells.memory
            private[column] += share * cells.private
        memory[first + 1:last] += cells.memory
        private[first + 1:last] += cells.private

    before = 0.0
    for change in changes:
        place = (change.time - begin) / (end - begin) * COLUMNS
        place = min(max(place, 0.0), float(COLUMNS))
        if place > before:
            add(before, place)
            before = place
        cells.put(change)
    if before < COLUMNS:
        add(before, COLUMNS)
    return Raster(memory.T, private.T)


def colours(picture: Raster) -> numpy.ndarray:
    """Red, green, blue and opacity, 0 to 255."""
    least = 1e-9        # sums of shares are not exact
    with numpy.errstate(invalid='ignore', divide='ignore'):
        share = picture.private / picture.memory
    share = numpy.where(share > least, numpy.where(
        share < 1 - least, MIXED + (1 - 2 * MIXED) * share, 1), 0)
    share = numpy.round(share * BLENDS) / BLENDS
    low, high = (numpy.array(matplotlib.colors.to_rgb(name))
                 for name in (SHARED, PRIVATE))
    rgb = low + share[..., None] * (high - low)
    opacity = picture.memory[..., None] > 0.1
    return numpy.round(255 * numpy.concatenate((rgb, opacity), -1)).astype(
        numpy.uint8)


def bin_width(span: float, count: int) -> float:
    """Of the rate curve: 1, 2 or 5 times a power of ten, in seconds."""
    wanted = span / min(max(2 * count, 40), 150)
    power = 10.0 ** math.floor(math.log10(wanted))
    return next(power * factor for factor in (1, 2, 5, 10)
                if power * factor >= 0.999 * wanted)


@dataclass(frozen=True)
class Rate:
    """Per second, of each of equal parts of the time."""
    edges: numpy.ndarray
    to_private: numpy.ndarray
    to_shared: numpy.ndarray
    width: float            # seconds


def rate(history: History, unit: str, begin: float, end: float) -> Rate:
    """Of conversions that succeeded, or of pages that they changed."""
    done = [one for one in history.conversions if not one.result]
    width = bin_width(end - begin, len(done))
    edges = begin + width * numpy.arange(
        math.ceil((end - begin) / width) + 1)
    both = []
    for to_private in (True, False):
        these = [one for one in done if one.to_private == to_private]
        amounts = [one.changed / PAGE if unit == 'pages' else 1
                   for one in these]
        sums, _ = numpy.histogram([one.time for one in these], edges,
                                  weights=amounts)
        both.append(sums / width)
    return Rate(edges, *both, width)


def ticks(axis: list[Segment]) -> Iterator[tuple[float, str]]:
    """Rows and addresses: where segments meet, and round ones between."""
    for segment in axis:
        yield segment.bottom, f'{segment.start:#x}'
        if segment.pieces == 1:
            continue
        step = 1 << max(0, math.ceil(math.log2(
            (segment.end - segment.start) * 3 * LEAST_ROWS / segment.rows)))
        for address in range(segment.start // step * step, segment.end, step):
            row = segment.row(address)
            if (row - segment.bottom >= LEAST_ROWS and
                    segment.bottom + segment.rows - row >= LEAST_ROWS):
                yield row, f'{address:#x}'
    yield axis[-1].bottom + axis[-1].rows, f'{axis[-1].end:#x}'


def draw_state(axes: Axes, history: History, axis: list[Segment],
               begin: float, end: float) -> None:
    rows = axis[-1].bottom + axis[-1].rows
    axes.set_facecolor('white')
    # Shines through where there is no memory
    axes.axhspan(0, rows, facecolor='white', edgecolor='#b0b0b0', hatch='////',
                 linewidth=0, zorder=0)
    axes.imshow(colours(raster(history.changes, axis, begin, end)),
                aspect='auto', origin='lower', interpolation='none',
                extent=(begin, end, 0, rows), zorder=1)
    for segment in axis[1:]:
        axes.axhline(segment.bottom, color='white', linewidth=1.6, zorder=2)
        axes.axhline(segment.bottom, color='#606060', linewidth=0.5,
                     linestyle=(0, (4, 3)), zorder=2)
    for segment in axis:
        axes.text(1.006, segment.bottom + segment.rows / 2, segment.text(),
                  transform=axes.get_yaxis_transform(), va='center',
                  fontsize=8, color='#404040')
    for time in history.resets:
        axes.axvline(time, color='black', linewidth=1, linestyle=':', zorder=3)
    for marks, shape, size in ((history.failures, 'X', 7),
                               (history.stops, 's', 8)):
        # Many at one place are one
        places = sorted({(round((mark.time - begin) / (end - begin) * 150),
                          round(mark_row(axis, mark.address) / 4))
                         for mark in marks})
        axes.plot([begin + (end - begin) * place / 150 for place, _ in places],
                  [4 * row for _, row in places], linestyle='', marker=shape,
                  markersize=size, color='black', markeredgecolor='white',
                  zorder=4)
    where, names = zip(*ticks(axis), strict=True)
    axes.set_yticks(where, names, family='monospace', fontsize=8)
    axes.set_ylim(0, rows)
    axes.set_ylabel('guest-physical address\n(one scale between dashed lines)')
    axes.tick_params(axis='x', labelbottom=False)


def draw_rate(axes: Axes, curve: Rate, unit: str) -> None:
    axes.stairs(curve.to_private, curve.edges, fill=True, color=PRIVATE)
    axes.stairs(-curve.to_shared, curve.edges, fill=True, color=TO_SHARED)
    axes.axhline(0, color='black', linewidth=0.8)
    top, bottom = (max(values.max(initial=0), 1e-9) for values in
                   (curve.to_private, curve.to_shared))
    least = 0.15 * max(top, bottom)
    axes.set_ylim(-1.12 * max(bottom, least), 1.12 * max(top, least))
    axes.yaxis.set_major_formatter(FuncFormatter(
        lambda value, _: f'{abs(value):,.10g}'))
    axes.set_ylabel(f'{unit} per second\n(mean of {duration(curve.width)})')
    axes.grid(axis='y', color='#d0d0d0', linewidth=0.5)
    axes.set_axisbelow(True)


def duration(seconds: float) -> str:
    for unit, factor in (('s', 1), ('ms', 1e-3), ('µs', 1e-6)):
        if seconds >= 0.999 * factor:
            break
    return f'{seconds / factor:.3g} {unit}'


def legend(history: History) -> list[Patch | Line2D]:
    def line(label: str, **style: object) -> Line2D:
        return Line2D([], [], color='black', label=label, **style)

    low, high = (numpy.array(matplotlib.colors.to_rgb(name))
                 for name in (SHARED, PRIVATE))
    entries: list[Patch | Line2D] = [
        Patch(color=SHARED, label='shared'),
        Patch(color=low + 0.5 * (high - low), label='some of both'),
        Patch(color=PRIVATE, label='private, or to private'),
        Patch(color=TO_SHARED, label='to shared'),
        Patch(facecolor='white', edgecolor='#b0b0b0', hatch='////',
              label='no such memory')]
    if history.failures:
        entries.append(line('failed', linestyle='', marker='X', markersize=7))
    if history.stops:
        entries.append(line('VM stopped', linestyle='', marker='s',
                            markersize=7))
    if history.resets:
        entries.append(line('reset', linestyle=':'))
    return entries


def title(name: str, history: History) -> str:
    count, failed = len(history.conversions), len(history.failures)
    how_many = f'{failed:,} of them' if failed else 'none'
    changed = sum(one.changed for one in history.conversions)
    return (f'{name}: {count:,} conversion{"s" if count != 1 else ""}, '
            f'{how_many} failed, {readable(changed)} changed')


def draw(history: History, output: Path, name: str, unit: str) -> None:
    """Write a picture, of what the suffix of its name says."""
    matplotlib.rcParams.update({
        'font.size': 9, 'hatch.linewidth': 0.6, 'hatch.color': '#b0b0b0',
        # The same input is to give the same file
        'svg.hashsalt': 'conversions'})
    begin, end = history.begin, history.end
    axis = address_axis(history.changes, history.failures + history.stops)
    digits = max(len(text) for _, text in ticks(axis))
    left = 0.062 + 0.0063 * digits
    figure = Figure(figsize=(11, 7.5))
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(
        2, sharex=True, height_ratios=(3.2, 1),
        gridspec_kw={
            'left': left, 'right': 0.91, 'top': 0.885, 'bottom': 0.07,
            'hspace': 0.06})
    draw_state(upper, history, axis, begin, end)
    draw_rate(lower, rate(history, unit, begin, end), unit)
    lower.set_xlim(begin, end)
    lower.set_xlabel('seconds after the first event of the trace')
    figure.align_ylabels()
    figure.suptitle(title(name, history), x=0.52, y=0.98, fontsize=11)
    figure.legend(handles=legend(history), loc='upper center', ncols=8,
                  columnspacing=1.5, bbox_to_anchor=(0.52, 0.95),
                  frameon=False, fontsize=9)
    kind = output.suffix.removeprefix('.')
    figure.savefig(output, format=kind, dpi=150, metadata={
        'svg': {'Date': None, 'Creator': None},
        'png': {'Software': None}}[kind])
