# SPDX-License-Identifier: GPL-2.0-or-later
"""What QEMU's log of trace events tells of conversions."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

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
    """The events of a log, with timestamps (-msg timestamp=on) or without."""
    for line in text.splitlines():
        match = re.match(r'(?:(?:(\d+)@)?([\d.]+):)?(\w+) (.*)', line)
        if match:
            yield Event(match[1] or '', float(match[2] or 0), match[3],
                        match[4])


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


def conversions(text: str) -> Iterator[Conversion]:
    """What was converted, and why."""
    cause, flags = '?', None
    for event in events(text):
        if event.name == 'kvm_memory_fault':
            cause, flags = 'KVM_EXIT_MEMORY_FAULT', event.numbers()[2]
        elif event.name == 'kvm_hc_map_gpa_range':
            cause, flags = 'KVM_EXIT_HYPERCALL', None
        elif event.name == 'memory_convert_end':
            start, size, changed = event.numbers()
            yield Conversion(cause, flags, start, size,
                             bool(event.field('to_private')), changed,
                             event.field('ret'), event.time)
