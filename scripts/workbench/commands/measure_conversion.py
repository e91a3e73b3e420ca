# SPDX-License-Identifier: GPL-2.0-or-later
"""
Measure the time to make memory private or shared.

Three programs run on the same KVM:

patched    QEMU with the series
unpatched  QEMU with the series up to the patch that adds software-protected
           VMs: conversion is as in QEMU 10.0
bound      the lower bound: a program that makes only the two system calls of
           a conversion

Figures are medians of the rounds.  On an emulated machine only the ratios are
meaningful.  Then measure the bookkeeping of the series alone, without KVM.

With --instructions, thousands of instructions take the place of microseconds:
all instructions of QEMU, KVM and the guest from the guest's call to its return.
Such figures are nearly the same in each run, whatever else the machine does.

Exit status: 0 if the measurement worked, whatever the figures are.
"""

from pathlib import Path

from ..base.command import new_parser
from ..measure import conversion


def count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError
    return number


def body() -> int:
    parser = new_parser(__doc__,
                        example='scripts/measure conversion --rounds 5')
    parser.add_argument('--rounds', type=count, default=7, metavar='N',
                        help='number of rounds (%(default)s)')
    parser.add_argument('--instructions', action='store_true',
                        help='count instructions and not time, on the emulated '
                        'machine')
    parser.add_argument('--small-pages', action='store_true',
                        help='use no transparent huge pages, which the '
                        'unpatched QEMU and the bound do otherwise; on the '
                        'emulated machine')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='write the raw numbers to this file')
    parser.add_argument('--patched', type=Path, metavar='PATH',
                        help='the QEMU binary with the series, instead of the '
                        'one built here')
    parser.add_argument('--unpatched', type=Path, metavar='PATH',
                        help='the QEMU binary to compare with, instead of the '
                        'one built here')
    parser.add_argument('--no-rebuild', action='store_true',
                        help='build nothing')
    parser.add_argument('--emulate', action='store_true',
                        help="use the emulated machine even if this machine's "
                        'own KVM has private memory')
    return conversion.run(parser.parse_args())
