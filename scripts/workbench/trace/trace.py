# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU's log of trace events tells of conversions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

# Enough for all that is here
TRACE_EVENTS = ('kvm_memory_fault', 'kvm_memory_fault_give_up',
                'kvm_hc_map_gpa_range', 'memory_convert_end',
                'guest_memfd_manager_map', 'guest_memfd_manager_unmap',
                'guest_memfd_manager_reset')


@dataclass(frozen=True)
class Event:
    """One line of the log."""
    thread: str
    time: float             # seconds, of the host's clock
    name: str
    text: str

    def numbers(self) -> list[int]:
        """Those in hexadecimal, in their order."""
        return [int(number, 16) for number in
                re.findall(r'\b0x([0-9a-f]+)', self.text)]

    def field(self, name: str) -> int:
        """A decimal number that follows its name."""
        match = re.search(rf'\b{name} (-?\d+)', self.text)
        assert match, self
        return int(match[1])


def events(text: str) -> Iterator[Event]:
    """
    The events of a log, with timestamps (-msg timestamp=on) or without.

    QEMU 10.2 writes another kind of timestamp, and no thread.
    """
    # The last line may be cut off
    for line in text[:text.rfind('\n') + 1].splitlines():
        match = re.match(r'(?:(?:(\d+)@)?([\d.]+):|([\d-]+T[\d:.]+Z) )?'
                         r'(\w+) (.*)', line)
        if match:
            seconds = datetime.fromisoformat(match[3]).timestamp() \
                if match[3] else float(match[2] or 0)
            yield Event(match[1] or '', seconds, match[4], match[5])


class Layout:
    """What the guest has where, of memory that can be private."""

    def __init__(self) -> None:
        self._places: dict[int, tuple[str, int, int]] = {}

    def change(self, event: Event) -> None:
        block = event.text.partition('+')[0]
        offset, gpa, size = event.numbers()[-3:]
        pieces = {}
        # Both kinds make room first: a part may be taken out of a whole
        for at, (other, where, length) in self._places.items():
            if at < gpa:
                pieces[at] = (other, where, min(length, gpa - at))
            if at + length > gpa + size:
                start = max(at, gpa + size)
                pieces[start] = (other, where + start - at,
                                 at + length - start)
        if event.name == 'guest_memfd_manager_map':
            pieces[gpa] = (block, offset, size)
        self._places = {at: piece for at, piece in pieces.items() if piece[2]}

    def within(self, start: int, end: int) -> Iterator[tuple[str, int,
                                                             int, int]]:
        """Block, offset in it, address and size of what is in a range."""
        for gpa, (block, offset, size) in self._places.items():
            first, last = max(start, gpa), min(end, gpa + size)
            if first < last:
                yield block, offset + first - gpa, first, last - first

    def ranges(self) -> list[tuple[int, int]]:
        """Address and size, ascending, adjacent ones as one."""
        found: list[tuple[int, int]] = []
        for gpa, (_, _, size) in sorted(self._places.items()):
            if found and sum(found[-1]) == gpa:
                found[-1] = (found[-1][0], found[-1][1] + size)
            else:
                found.append((gpa, size))
        return found

    def blocks(self) -> dict[str, int]:
        """How large each block is at least, in bytes."""
        sizes: dict[str, int] = {}
        for block, offset, size in self._places.values():
            sizes[block] = max(sizes.get(block, 0), offset + size)
        return sizes


@dataclass(frozen=True)
class Conversion:
    """One conversion."""
    exit: str           # the KVM exit that asked for it
    flags: int | None   # of KVM_EXIT_MEMORY_FAULT
    start: int          # guest-physical address
    size: int           # bytes
    to_private: bool
    changed: int        # bytes that were not in that state before
    result: int         # 0 or a negative errno
    time: float         # seconds, of the host's clock


def told(text: str) -> Iterator[Event | Conversion]:
    """The events in their order, the end of a conversion as what it was."""
    # Of each vCPU's thread
    causes: dict[str, tuple[str, int | None]] = {}
    for event in events(text):
        if event.name == 'kvm_memory_fault':
            causes[event.thread] = ('KVM_EXIT_MEMORY_FAULT',
                                    event.numbers()[2])
        elif event.name == 'kvm_hc_map_gpa_range':
            causes[event.thread] = 'KVM_EXIT_HYPERCALL', None
        if event.name == 'memory_convert_end':
            start, size, changed = event.numbers()
            cause, flags = causes.get(event.thread, ('?', None))
            yield Conversion(cause, flags, start, size,
                             bool(event.field('to_private')), changed,
                             event.field('ret'), event.time)
        else:
            yield event


def conversions(text: str) -> Iterator[Conversion]:
    """What was converted, and why."""
    for one in told(text):
        if isinstance(one, Conversion):
            yield one
