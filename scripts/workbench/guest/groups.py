# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the avocado tests run where: tests/avocado/groups.txt."""

from pathlib import Path

from ..base import explained
from ..base.paths import REPO

TESTS = REPO / 'tests' / 'avocado'
CANCELLED = TESTS / 'cancelled.txt'
GROUPS = ('guests', 'kernel', 'docs')
# What scripts/check bases runs on a QEMU with types of VM of its own
OTHER_BASES = ('guest', '--kernel', 'new', '--group', 'guests', '--tdx')


def members(group: str, directory: Path = TESTS) -> list[str]:
    """What is listed: FILE, FILE:Class, or FILE:Class.test."""
    return [test for name, test, _ in
            explained.read(directory / 'groups.txt') if name == group]


def left_out(nightly: bool) -> list[str]:
    """Tests of the group guests that are run at night only."""
    return [] if nightly else members('nightly')


def select(group: str, kernel: str) -> list[str]:
    """
    The tests of a group on a kernel.

    What differs between kernels is also what another one lacks, and is
    cancelled there.
    """
    if group == 'guests':
        docs = members('docs')
        return [path.name for path in sorted(TESTS.glob('*.py'))
                if path.name not in docs]
    listed = members(group)
    if group == 'kernel':
        lacks = [(where, test) for where, test, _ in
                 explained.read(CANCELLED)]
        listed += [test for where, test in lacks
                   if where != kernel and (kernel, test) not in lacks]
    return list(dict.fromkeys(listed))
