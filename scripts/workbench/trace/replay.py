# SPDX-License-Identifier: GPL-2.0-or-later
"""From the trace of a run to a file that QEMU's private-memory-replay-test
takes: see the head of tests/qtest/private-memory-replay-test.c there."""

import errno
import os
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from ..base.steps import Failure
from ..build import qemu
from .trace import Event, Layout, events

PAGE = 4096
# ROM, or RAM in its place: which of them is up to firmware, and a replay has
# none
SHADOW = range(0xc0000, 0x100000)
# What the guest gets for what memory_convert_range() returned; KVM_EFAULT (14)
# is for everything else.  See the kernel's include/uapi/linux/kvm_para.h.
GUEST_ERRORS = {0: 0, -errno.EINVAL: -22, -errno.EOPNOTSUPP: -95}


@dataclass
class Step:
    words: str
    outcome: str = ''

    def __str__(self) -> str:
        return self.words + (f' = {self.outcome}' if self.outcome else '')


@dataclass
class Run:
    """All that a trace tells."""
    layout: Layout = field(default_factory=Layout)
    initial: str = 'shared'
    steps: list[Step] = field(default_factory=list)
    moved: bool = False     # whether the memory map changed on the way


def read(text: str) -> Run:
    """
    Order the steps of all vCPUs by when they were done.

    Ends where the memory map changes: what a replay is to do there the trace
    does not tell.
    """
    run = Run()
    begun: dict[str, Step] = {}     # of each thread, not yet in run.steps
    last: dict[str, Step] = {}
    vcpus: dict[str, int] = {}      # in the order in which they are seen
    start: list[tuple[int, int]] = []

    def begin(event: Event, kind: str, rest: str) -> None:
        if event.thread in begun:
            run.steps.append(begun[event.thread])
        vcpu = vcpus.setdefault(event.thread, len(vcpus))
        last[event.thread] = begun[event.thread] = \
            Step(f'{kind} {vcpu} {rest}')

    for event in events(text):
        if event.name in ('guest_memfd_manager_map',
                          'guest_memfd_manager_unmap'):
            run.layout.change(event)
            continue
        if event.name == 'guest_memfd_manager_reset':
            private = bool(event.field('to_private'))
            run.initial = 'private' if private else 'shared'
            if run.steps and run.steps[-1].words != 'reset':
                run.steps += [*begun.values(), Step('reset')]
                begun.clear()
            continue
        if event.name not in ('kvm_hc_map_gpa_range', 'kvm_memory_fault',
                              'memory_convert_end',
                              'kvm_memory_fault_give_up'):
            continue
        start = start or run.layout.ranges()
        if run.layout.ranges() != start:
            run.moved = True
            break
        if event.name == 'kvm_hc_map_gpa_range':
            gpa, size, attributes = event.numbers()[:3]
            begin(event, 'map', f'{gpa:#x} {size // PAGE:#x} {attributes:#x}')
        elif event.name == 'kvm_memory_fault':
            gpa, size, flags = event.numbers()
            begin(event, 'fault', f'{gpa:#x} {size:#x} {flags:#x}')
        elif event.name == 'memory_convert_end':
            step = begun.pop(event.thread, None)
            if step and step.words.startswith('map'):
                step.outcome = str(GUEST_ERRORS.get(event.field('ret'), -14))
            if step:
                run.steps.append(step)
        elif event.thread in last:
            last[event.thread].outcome = 'stop'
    run.steps += begun.values()
    return run


def default_arguments(run: Run) -> str:
    blocks = run.layout.blocks()
    if len(blocks) != 1:
        raise Failure(f'the guest has {len(blocks)} blocks of memory that can '
                      f'be private ({", ".join(blocks)}): give the options of '
                      'QEMU for the machine with --qemu')
    size, = blocks.values()
    return ('-nodefaults -smp 4 -object sw-protected-vm,id=cgs0 '
            '-object memory-backend-memfd-private,id=ram0,'
            f'size={size >> 10}K,initial={run.initial} '
            f'-machine q35,confidential-guest-support=cgs0,'
            f'memory-backend=ram0 -m {size >> 10}K')


def from_trace(text: str, arguments: str | None = None) -> tuple[str, Run]:
    """The file's text, and the run that it tells of."""
    run = read(text)
    if not run.steps:
        raise Failure('there is no conversion in the trace: it needs '
                      '-trace "kvm_memory_fault*" -trace kvm_hc_map_gpa_range '
                      '-trace memory_convert_end -trace "guest_memfd_manager*" '
                      'and -msg timestamp=on')
    if not run.layout.ranges():
        raise Failure('the trace does not say where memory is: record the '
                      'whole run, with -trace guest_memfd_manager_map')
    lines = [f'qemu {arguments or default_arguments(run)}']
    suffix = ' private' if run.initial == 'private' else ''
    lines += [f'ram {gpa:#x} {size:#x}{suffix}'
              for gpa, size in run.layout.ranges() if gpa not in SHADOW]
    lines += map(str, run.steps)
    return '\n'.join(lines) + '\n', run


def run_file(file: Path) -> str:
    """Take the steps of a file; returns what went wrong, or nothing."""
    build = qemu.tree().path / 'build'
    done = subprocess.run(
        [build / 'tests/qtest/private-memory-replay-test'], cwd=build,
        check=False, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, 'PRIVATE_MEMORY_REPLAY': str(file.resolve()),
             'QTEST_QEMU_BINARY': './qemu-system-x86_64'})
    return done.stdout if done.returncode else ''
