# SPDX-License-Identifier: GPL-2.0-or-later
"""From the trace of a run to the state of guest-physical memory over time."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from enum import IntEnum

from ..base.steps import Failure
from .trace import Conversion, Event, Layout, told


ALL = 1 << 64       # addresses


class State(IntEnum):
    ABSENT = 0      # no memory that can be private
    SHARED = 1
    PRIVATE = 2


@dataclass(frozen=True)
class Change:
    """Guest-physical memory from `start` up to `end` gets into a state."""
    time: float
    start: int
    end: int
    state: State


@dataclass(frozen=True)
class Mark:
    """Something that went wrong."""
    time: float
    address: int


class Ranges:
    """For which numbers something is true, as those where that changes."""

    def __init__(self, everywhere: bool = False) -> None:
        self._edges = [0] if everywhere else []

    def put(self, start: int, end: int, value: bool) -> None:
        first = bisect_left(self._edges, start)
        last = bisect_right(self._edges, end)
        # After an odd number of edges it is true
        before, after = bool(first % 2), bool(last % 2)
        self._edges[first:last] = ([start] if before != value else []) + \
            ([end] if after != value else [])

    def runs(self, start: int, end: int) -> Iterator[tuple[int, int, bool]]:
        """Start, end and whether it is true, of all in a range."""
        first = bisect_right(self._edges, start)
        last = bisect_left(self._edges, end)
        points = [start, *self._edges[first:last], end]
        for number, run_start in enumerate(points[:-1]):
            yield run_start, points[number + 1], bool((first + number) % 2)


@dataclass
class History:
    """All that a trace tells; times are seconds after its first event."""
    changes: list[Change] = field(default_factory=list)
    conversions: list[Conversion] = field(default_factory=list)
    failures: list[Mark] = field(default_factory=list)
    stops: list[Mark] = field(default_factory=list)
    resets: list[float] = field(default_factory=list)
    begin: float = 0
    end: float = 0

    def __post_init__(self) -> None:
        self._layout = Layout()
        self._private: dict[str, Ranges] = {}
        self._initial: dict[str, bool] = {}

    def learn_initial(self, event: Event) -> None:
        """A block starts in the state into which a reset puts it."""
        block = event.text.split(' ', 1)[0]
        self._initial.setdefault(block, bool(event.field('to_private')))

    def between(self, begin: float, end: float) -> 'History':
        """A part of it; it begins with the state as it was then."""
        memory, private = Ranges(), Ranges()
        for change in self.changes:
            if change.time <= begin:
                memory.put(change.start, change.end,
                           change.state != State.ABSENT)
                private.put(change.start, change.end,
                            change.state == State.PRIVATE)
        part = History([
            Change(begin, *run, State.PRIVATE if is_private else State.SHARED)
            for start, stop, there in memory.runs(0, ALL) if there
            for *run, is_private in private.runs(start, stop)])
        part.changes += [change for change in self.changes
                         if begin < change.time <= end]
        part.conversions = [one for one in self.conversions
                            if begin <= one.time <= end]
        part.failures = [mark for mark in self.failures
                         if begin <= mark.time <= end]
        part.stops = [mark for mark in self.stops
                      if begin <= mark.time <= end]
        part.resets = [time for time in self.resets if begin <= time <= end]
        if begin >= self.end or not part.changes:
            raise Failure(f'the trace has nothing from second {begin:g} to '
                          f'{end:g}: it ends at {self.end:.3f} s')
        part.begin, part.end = begin, end
        return part

    def _ranges(self, block: str) -> Ranges:
        if block not in self._private:
            # Without a reset of its own, as those with one
            other = next(iter(self._initial.values()), False)
            self._private[block] = Ranges(
                self._initial.get(block, other))
        return self._private[block]

    def _within(self, start: int, end: int) -> Iterator[
            tuple[str, Ranges, int, int, int]]:
        """Block, its private part, offset, address and size of memory."""
        for block, offset, gpa, size in self._layout.within(start, end):
            # One that is plugged in has no name yet: there may be several
            yield (block, self._ranges(block), offset if block else gpa, gpa,
                   size)

    def _put(self, time: float, start: int, end: int, private: bool) -> None:
        """Change the state of a range, where it is another one."""
        for _, ranges, offset, gpa, size in self._within(start, end):
            for first, last, was in ranges.runs(offset, offset + size):
                if was != private:
                    self.changes.append(
                        Change(time, gpa + first - offset,
                               gpa + last - offset,
                               State.PRIVATE if private else State.SHARED))
            ranges.put(offset, offset + size, private)

    def convert(self, time: float, conversion: Conversion) -> None:
        self.conversions.append(replace(conversion, time=time))
        if conversion.result:
            self.failures.append(Mark(time, conversion.start))
        else:
            self._put(time, conversion.start,
                      conversion.start + conversion.size,
                      conversion.to_private)

    def move(self, time: float, event: Event) -> None:
        """Memory comes to an address, with its state, or leaves it."""
        self._layout.change(event)
        gpa, size = event.numbers()[-2:]
        if event.name == 'guest_memfd_manager_unmap':
            self.changes.append(Change(time, gpa, gpa + size, State.ABSENT))
            # What is plugged in there later without a name is another one
            self._ranges('').put(gpa, gpa + size, self._initial.get('', False))
            return
        for _, ranges, offset, at, length in self._within(gpa, gpa + size):
            for first, last, private in ranges.runs(offset, offset + length):
                self.changes.append(
                    Change(time, at + first - offset, at + last - offset,
                           State.PRIVATE if private else State.SHARED))

    def reset(self, time: float, event: Event) -> None:
        """Of one block; those of a machine are all reset at once."""
        name, private = event.text.split(' ', 1)[0], event.field('to_private')
        # Without a name it is being created
        if event.field('ret') or not name:
            return
        if self.conversions:
            self.resets.append(time)
        blocks = {block for block, *_ in self._within(0, ALL)}
        for block, _, _, gpa, size in list(self._within(0, ALL)):
            if block == (name if name in blocks else ''):
                self._put(time, gpa, gpa + size, bool(private))


def read(text: str) -> History:
    """Raises Failure if the trace does not tell enough."""
    history = History()
    events = [one for one in told(text) if isinstance(one, Conversion) or
              one.name.startswith(('guest_memfd_manager_', 'kvm_memory_'))]
    for one in events:
        if isinstance(one, Event) and one.name == 'guest_memfd_manager_reset':
            history.learn_initial(one)
    for one in events:
        time = one.time - events[0].time
        history.end = max(history.end, time)
        if isinstance(one, Conversion):
            history.convert(time, one)
        elif one.name in ('guest_memfd_manager_map',
                          'guest_memfd_manager_unmap'):
            history.move(time, one)
        elif one.name == 'guest_memfd_manager_reset':
            history.reset(time, one)
        elif one.name == 'kvm_memory_fault_give_up':
            history.stops.append(Mark(time, one.numbers()[0]))
    if not history.conversions:
        raise Failure('there is no conversion in the trace: it needs '
                      '-trace memory_convert_end')
    if all(change.state == State.ABSENT for change in history.changes):
        raise Failure('the trace does not say where memory is: record the '
                      'whole run, with -trace "guest_memfd_manager_*map"')
    if not history.end:
        raise Failure('the trace has no times: record it with -msg '
                      'timestamp=on')
    # What it was like in the end is part of it
    history.end *= 1.03
    return history
