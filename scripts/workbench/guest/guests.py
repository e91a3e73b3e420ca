# SPDX-License-Identifier: GPL-2.0-or-later
"""
The guest tests that need no program on the host: tests/guest/guests.cfg.

As a program it prints the names of all payloads, for meson.
"""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any

from ..base import config
from ..base.paths import REPO
from ..base.steps import Failure, main
from .vm_types import VM_TYPES

DIRECTORY = REPO / 'tests' / 'guest'
FILE = DIRECTORY / 'guests.cfg'
PROGRAMS = ('tests/avocado', 'scripts/workbench/measure')

# A thing that a test may need of its host, so that it may have to be cancelled
NEEDS = ('decode-assists', 'device', 'intent', 'mapped-guest-memfd',
         'transparent-huge-pages')
KINDS = ('anon', 'file', 'shmem', 'unevictable')       # in memory.stat
PEAK = 'peak'
ALL = 'all'


@dataclass(frozen=True)
class Used:
    """Between which bounds the host memory in use at a step must be."""
    step: str               # or PEAK, or * for each step after `since`
    least: int | None
    most: int | None
    since: str | None       # what was in use at that step does not count


@dataclass(frozen=True)
class Event:
    """One of QMP, and some of its data."""
    name: str
    data: dict[str, object]


def size(text: str) -> int:
    match = re.fullmatch(r'(-?\d+)([KMG]?)', text)
    if not match:
        raise ValueError('a size is a number, and K, M or G')
    return int(match[1]) << ' KMG'.index(match[2] or ' ') * 10


def positive(text: str) -> int:
    if not re.fullmatch(r'[1-9]\d*', text):
        raise ValueError('must be a number above 0')
    return int(text)


def yes_or_no(text: str) -> bool:
    if text not in ('yes', 'no'):
        raise ValueError('must be yes or no')
    return text == 'yes'


def word(text: str) -> str:
    if not re.fullmatch(r'\S+', text):
        raise ValueError('must be one word')
    return text


def words(text: str) -> tuple[str, ...]:
    if not text.split():
        raise ValueError('must be one word or more')
    return tuple(text.split())


def each_line(text: str) -> tuple[str, ...]:
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not found:
        raise ValueError('must be one line or more')
    return found


def lines_or_none(text: str) -> tuple[str, ...]:
    return () if text == 'none' else each_line(text)


def patterns(text: str) -> tuple[str, ...]:
    for line in each_line(text):
        try:
            re.compile(line)
        except re.error as error:
            raise ValueError(f'{line} is no regular expression: {error}') \
                from error
    return each_line(text)


def some_of(*known: str) -> Callable[[str], tuple[str, ...]]:
    def convert(text: str) -> tuple[str, ...]:
        for one in words(text):
            if one not in known:
                raise ValueError(f'{one} is none of {", ".join(known)}')
        return words(text)
    return convert


def types(text: str) -> tuple[str, ...]:
    found = some_of(ALL, *VM_TYPES)(text)
    if ALL in found and len(found) > 1:
        raise ValueError(f'{ALL} has to be alone')
    return found


def assignments(text: str) -> tuple[tuple[str, str], ...]:
    found = []
    for one in shlex.split(text):
        name, equals, value = one.partition('=')
        if not name or not equals:
            raise ValueError(f'{one} is no NAME=VALUE')
        found.append((name, value))
    return tuple(found)


def one_event(text: str) -> Event:
    name, _, rest = text.partition(' ')
    data: dict[str, object] = {}
    for key, value in assignments(rest):
        try:
            data[key] = json.loads(value)
        except json.JSONDecodeError:
            data[key] = value
    return Event(name, data)


def all_events(text: str) -> tuple[Event, ...]:
    return tuple(map(one_event, each_line(text)))


def bound(text: str) -> Used:
    match = re.fullmatch(r'(\S+): (\S+)?\.\.(\S+)?(?: since (\S+))?', text)
    if not match or not (match[2] or match[3]):
        raise ValueError(f'{text} is no STEP: LEAST..MOST [since STEP]')
    least, most = (size(number) if number else None
                   for number in match.group(2, 3))
    return Used(match[1], least, most, match[4])


def bounds(text: str) -> tuple[Used, ...]:
    return tuple(map(bound, each_line(text)))


def all_exits(text: str) -> frozenset[str]:
    for one in words(text):
        if not re.fullmatch(r'(hypercall|fault-0x[0-9a-f]+):(private|shared)',
                            one):
            raise ValueError(f'{one} is neither hypercall:STATE nor '
                             'fault-FLAGS:STATE')
    return frozenset(words(text))


def all_sizes(text: str) -> frozenset[int]:
    return frozenset(map(size, words(text)))


def quoted(text: str) -> tuple[str, ...]:
    return tuple(shlex.split(text))


def content(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\S+) (0x[0-9a-f]{1,16})', text)
    if not match:
        raise ValueError('must be SIZE 0xWORD')
    return size(match[1]), int(match[2], 16)


def key(convert: Callable, default: Any) -> Any:
    """A key of a section: what makes a value of its text."""
    return field(default=default, metadata={'convert': convert})


@dataclass(frozen=True)
class Section:
    """A test.  README.rst in the same directory says what each key means."""
    name: str
    payload: str = key(word, '')
    run_by: str = key(word, '')
    vm_types: tuple[str, ...] = key(types, (ALL,))
    needs: tuple[str, ...] = key(some_of(*NEEDS), ())
    machine: str = key(word, 'q35')
    memory: str = key(word, '256M')
    backends: tuple[str, ...] = key(each_line, ())
    cpus: int = key(positive, 1)
    parameters: tuple[tuple[str, str], ...] = key(assignments, ())
    arguments: tuple[str, ...] = key(quoted, ())
    file: tuple[int, int] | None = key(content, None)
    steps: tuple[str, ...] = key(words, ())
    limit: int = key(positive, 240)
    ends: bool = key(yes_or_no, True)
    lines: tuple[str, ...] = key(patterns, ())
    events: tuple[Event, ...] = key(all_events, ())
    counted: tuple[str, ...] = key(some_of(*KINDS), ('shmem', 'unevictable'))
    used: tuple[Used, ...] = key(bounds, ())
    trace: bool = key(yes_or_no, True)
    exits: frozenset[str] | None = key(all_exits, None)
    sizes: frozenset[int] | None = key(all_sizes, None)
    refused_accesses: tuple[str, ...] | None = key(lines_or_none, None)
    iommu_faults: bool | None = key(yes_or_no, None)
    replay: bool = key(yes_or_no, False)

    @property
    def method(self) -> str:
        """The name of the test's method."""
        return 'test_' + self.name.replace('-', '_')

    def runs_on(self, vm_type: str) -> bool:
        if self.vm_types == (ALL,):
            return VM_TYPES[vm_type].runs_all
        return vm_type in self.vm_types


KEYS = {one.name.replace('_', '-'): one.metadata['convert']
        for one in fields(Section) if one.metadata}


def inconsistent(section: Section) -> str | None:
    """What cannot be meant, though each value alone can."""
    traced = section.replay or section.exits or section.sizes or \
        section.refused_accesses is not None
    if traced and not section.trace:
        return 'needs trace = yes'
    for one in section.used:
        if one.step not in (*section.steps, '*', PEAK):
            return f'used: there is no step {one.step}'
        if one.since and one.since not in section.steps:
            return f'used: there is no step {one.since}'
        if one.step == '*' and one.since in (None, section.steps[-1]):
            return 'used: which steps are all (*)?'
    if 'intent' in section.needs and not all(
            VM_TYPES[name].private for name in VM_TYPES
            if section.runs_on(name)):
        return 'needs = intent is for types of VM with private memory'
    if not section.ends and not (section.lines or section.events or
                                 section.used):
        return 'ends = no: what has to be seen, lines, events or used?'
    return None


def read(text: str, payloads: set[str], programs: set[str]) -> list[Section]:
    """
    All sections, in their order.

    Failure if anything is wrong with them; with `payloads`, which are names of
    C files; or with `programs`, which are paths of Python files.
    """
    # What comes after # on a line is not a comment: payloads print it
    parser = config.read(text, FILE)

    def values(name: str, asking: tuple[str, ...] = ()) -> dict[str, str]:
        """Those of a section, and what it has from the one it is like."""
        own = dict(parser[name])
        model = own.pop('like', None)
        if model is None:
            return {'payload': name, **own}
        if model not in parser or model in (name, *asking):
            raise Failure(f'{FILE.name}: [{name}]: like = {model}: there is no '
                          'such other section')
        return {**values(model, (name, *asking)), **own}

    found = []
    for name in parser.sections():
        where = f'{FILE.name}: [{name}]'
        if not re.fullmatch(r'[a-z0-9]+(-[a-z0-9]+)*', name):
            raise Failure(f'{where}: a name has small letters, digits, and - '
                          'between them')
        converted = {}
        for said, value in values(name).items():
            if said not in KEYS:
                raise Failure(f'{where}: there is no key {said}; use one of '
                              f'like, {", ".join(KEYS)}')
            try:
                converted[said.replace('-', '_')] = KEYS[said](value)
            except ValueError as error:
                raise Failure(f'{where}: {said} = {value}: {error}') from error
        section = Section(name, **converted)
        if section.payload not in payloads:
            raise Failure(f'{where}: there is no payload {section.payload}.c')
        if section.run_by and section.run_by not in programs:
            raise Failure(f'{where}: there is no program {section.run_by}')
        if section.run_by and set(parser[name]) != {'run-by'}:
            raise Failure(f'{where}: {section.run_by} does not heed other keys')
        wrong = inconsistent(section)
        if wrong:
            raise Failure(f'{where}: {wrong}')
        found.append(section)
    unused = payloads - {section.payload for section in found}
    if unused:
        raise Failure(f'{FILE.name}: there is no section for payload '
                      f'{", ".join(sorted(unused))}')
    return found


def sections() -> list[Section]:
    """Those of the file, checked."""
    return read(FILE.read_text(),
                {path.stem for path in DIRECTORY.glob('*.c')},
                {str(path.relative_to(REPO)) for directory in PROGRAMS
                 for path in (REPO / directory).glob('*.py')})


def body() -> int:
    print('\n'.join(sorted({section.payload for section in sections()})))
    return 0


if __name__ == '__main__':
    main(body)
