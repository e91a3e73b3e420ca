# SPDX-License-Identifier: GPL-2.0-or-later
"""
The part of scripts/measure conversion that needs KVM.

Each round runs the test guest "bench" once in each of the programs, with
little and with much guest RAM.  If the machine is slow for a while, this
affects all programs.
"""

import argparse
import json
import re
import subprocess
from dataclasses import asdict, dataclass
from pathlib import Path

from ..base.steps import Bar, Failure, main, step

SUBJECTS = ('patched', 'unpatched', 'bound')
# The patched QEMU with the backend that has a discard policy, and this policy
POLICIES = ('both', 'none')
MEMORY = (64, 16 << 10)     # MiB of guest RAM
CPUS = 4
PASSED = 1                  # isa-debug-exit turns the payload's 0 into this
LIMIT = 300                 # seconds for one guest
HUGE_PAGES = Path('/sys/kernel/mm/transparent_hugepage/enabled')


@dataclass(frozen=True)
class Figure:
    """The result of one kind of conversion in one run."""
    round: int
    subject: str
    memory: int             # MiB
    kind: str
    ticks: int
    count: int


def command(subject: str, binary: Path, payload: Path,
            memory: int) -> list[str]:
    if subject == 'bound':
        return [str(binary), str(payload), str(memory), str(CPUS)]
    backend = 'memory-backend-ram'
    if subject in POLICIES:
        backend = f'memory-backend-memfd-private,discard={subject}'
    return [str(binary), '-nodefaults', '-display', 'none', '-accel', 'kvm',
            '-object', 'sw-protected-vm,id=cgs0',
            # It need not have as much memory as the guest
            '-object', f'{backend},id=ram,size={memory}M,reserve=off',
            '-machine', 'q35,confidential-guest-support=cgs0,'
            'memory-backend=ram', '-m', f'{memory}M', '-smp', str(CPUS),
            '-no-reboot', '-device', 'isa-debug-exit,iobase=0xf4,iosize=4',
            '-serial', 'stdio', '-bios', str(payload)]


def run_guest(arguments: list[str]) -> str:
    """Run a test guest to its end and return its output."""
    name = ' '.join(arguments)
    try:
        done = subprocess.run(arguments, stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, check=False, timeout=LIMIT)
    except subprocess.TimeoutExpired as expired:
        said = (expired.stdout or b'').decode(errors='replace')
        raise Failure(f'no end after {LIMIT} s: {name}\n{said}') from None
    if done.returncode != PASSED or not re.search(r'^1\.\.\d+$', done.stdout,
                                                  flags=re.M):
        raise Failure(f'exit status {done.returncode}: {name}\n'
                      f'{done.stdout}{done.stderr}')
    return done.stdout


def measure(binaries: dict[str, Path], payload: Path, rounds: int,
            bar: Bar) -> dict[str, object]:
    figures = []
    frequency = 0
    runs = [(memory, subject) for memory in MEMORY for subject in SUBJECTS]
    runs += [(MEMORY[0], policy) for policy in POLICIES]
    binaries |= {policy: binaries['patched'] for policy in POLICIES}
    for number in range(rounds):
        for position, (memory, subject) in enumerate(runs):
            bar.draw((number + position / len(runs)) / rounds)
            text = run_guest(command(subject, binaries[subject],
                                     payload, memory))
            for kind, ticks, count in re.findall(
                    r'^# bench (\S+) ticks=(\d+) count=(\d+)', text,
                    flags=re.M):
                figures.append(Figure(number, subject, memory, kind,
                                      int(ticks), int(count)))
            match = re.search(r'^# tsc khz=(\d+)', text, flags=re.M)
            if match:
                frequency = int(match[1])
        # Nobody is always the first
        runs.append(runs.pop(0))
    return {'tsc_khz': frequency, 'rounds': rounds,
            'binaries': {name: str(path) for name, path in binaries.items()},
            'figures': [asdict(figure) for figure in figures]}


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for subject in SUBJECTS:
        parser.add_argument(f'--{subject}', type=Path, required=True)
    parser.add_argument('--payload', type=Path, required=True)
    parser.add_argument('--rounds', type=int, required=True)
    parser.add_argument('--output', type=Path, required=True)
    parser.add_argument('--small-pages', action='store_true')
    options = parser.parse_args()
    if options.small_pages:
        HUGE_PAGES.write_text('never')
    binaries = {subject: getattr(options, subject) for subject in SUBJECTS}

    def measured(bar: Bar) -> None:
        options.output.write_text(json.dumps(
            measure(binaries, options.payload, options.rounds, bar)))

    step(f'Measure conversions, {options.rounds} rounds', measured)
    return 0


if __name__ == '__main__':
    main(body)
