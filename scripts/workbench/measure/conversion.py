# SPDX-License-Identifier: GPL-2.0-or-later
"""Conversions of memory, by three programs on the same KVM."""

import argparse
import json
import re
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from ..base import bases
from ..base.paths import REPO, build_dir
from ..base.steps import Bar, Failure, step
from ..base.tables import TARGET_HEAD, Target, table
from ..build import qemu
from ..build.meson import build
from ..build.qemu import patches
from ..machine.surroundings import inside
from .rounds import MEMORY, POLICIES, SUBJECTS

LAST_OF_UNPATCHED = 'Add-software-protected-VMs'    # in the patch's name
UNPATCHED = 'bench-stock'                           # the place of its tree
MICRO = 'tests/bench/benchmark-guest-memfd-manager'

KINDS = {
    'small': '4 KiB there and back, / 2',
    'large': '2 MiB there and back, / 2',
    'mixed': '4 MiB in alternating state',
    'parallel': '4 vCPUs, 4 KiB each',
}
LITTLE, MUCH = MEMORY

LIMIT = 1.05            # patched / unpatched
PARALLEL_LIMIT = 1.1    # patched / bound
MICRO_LIMIT = 1.2       # 1 TiB / 64 MiB
METADATA_LIMIT = 34     # MiB, of 1 TiB


def build_unpatched() -> Path:
    """Build QEMU with the series up to the type of VM that is measured."""
    series = patches()
    last = [number for number, patch in enumerate(series)
            if LAST_OF_UNPATCHED in patch.name]
    if not last:
        raise Failure(f'no patch in {bases.current().series} has '
                      f'{LAST_OF_UNPATCHED} in its name')
    return qemu.build_to_compare(UNPATCHED, series[:last[0] + 1])


def micro_benchmark(rebuild: bool) -> Path | None:
    """The benchmark that is in the series itself, if it is there."""
    tree = qemu.tree()
    directory = tree.path / 'build'
    if rebuild and (tree.path / f'{MICRO}.c').exists():
        qemu.compile_targets(tree.path, directory, MICRO,
                             title='Build the benchmark of bookkeeping')
    binary = directory / MICRO
    return binary if binary.exists() else None


class Figures:
    """All samples, by kind of conversion, guest RAM and program."""

    def __init__(self, raw: dict) -> None:
        self.rounds: dict[tuple[str, int, str], list[float]] = {}
        for figure in raw['figures']:
            key = figure['kind'], figure['memory'], figure['subject']
            self.rounds.setdefault(key, []).append(
                1000 * figure['ticks'] / figure['count'] / raw['tsc_khz'])

    def time(self, kind: str, memory: int, subject: str) -> float:
        """Microseconds for one conversion."""
        return median(self.rounds[kind, memory, subject])

    def ratio(self, kind: str, memory: int, one: str, other: str) -> float:
        return self.time(kind, memory, one) / self.time(kind, memory, other)

    def growth(self, kind: str, subject: str) -> float:
        """Time with much guest RAM to time with little."""
        return (self.time(kind, MUCH, subject) /
                self.time(kind, LITTLE, subject))

    def spread(self, kind: str, memory: int, one: str, other: str) -> str:
        """Least and greatest ratio of a single round."""
        ratios = [a / b for a, b in zip(self.rounds[kind, memory, one],
                                        self.rounds[kind, memory, other],
                                        strict=True)]
        return f'{min(ratios):.2f}-{max(ratios):.2f}'


def size(memory: int) -> str:
    return f'{memory} MiB' if memory < 1024 else f'{memory >> 10} GiB'


def time_rows(figures: Figures, unit: str) -> list[list[str]]:
    rows = [[unit, 'guest RAM', *SUBJECTS, 'patched/unpatched',
             'rounds', 'patched/bound', 'rounds']]
    for kind, name in KINDS.items():
        for memory in MEMORY:
            row = [name, size(memory)]
            row += [f'{figures.time(kind, memory, subject):.1f}'
                    for subject in SUBJECTS]
            for other in ('unpatched', 'bound'):
                row += [f'{figures.ratio(kind, memory, "patched", other):.2f}',
                        figures.spread(kind, memory, 'patched', other)]
            rows.append(row)
    return rows


def memory_rows(figures: Figures) -> list[list[str]]:
    """How much slower each program is with much guest RAM."""
    rows = [[f'{size(MUCH)} / {size(LITTLE)}', *SUBJECTS]]
    for kind, name in KINDS.items():
        rows.append([name, *(f'{figures.growth(kind, subject):.2f}'
                             for subject in SUBJECTS)])
    return rows


def policy_rows(figures: Figures, unit: str) -> list[list[str]]:
    """How much time it saves to keep the half that is not in use."""
    rows = [[unit, *(f'discard={name}' for name in POLICIES),
             'none/both', 'rounds']]
    for kind, name in KINDS.items():
        rows.append([name, *(f'{figures.time(kind, LITTLE, policy):.1f}'
                             for policy in POLICIES),
                     f'{figures.ratio(kind, LITTLE, "none", "both"):.2f}',
                     figures.spread(kind, LITTLE, 'none', 'both')])
    return rows


def targets(figures: Figures) -> list[Target]:
    found = [Target(f'{name}, {size(memory)}: patched / unpatched',
                    figures.ratio(kind, memory, 'patched', 'unpatched'), LIMIT)
             for kind, name in KINDS.items() for memory in MEMORY]
    found += [Target(f'{KINDS["parallel"]}, {size(memory)}: patched / bound',
                     figures.ratio('parallel', memory, 'patched', 'bound'),
                     PARALLEL_LIMIT) for memory in MEMORY]
    found.append(Target('4 KiB, discard=none / discard=both',
                        figures.ratio('small', LITTLE, 'none', 'both'), 1))
    return found


def micro_targets(text: str) -> list[Target]:
    """The results of the series' own benchmark, and their targets."""
    found = []
    for state, name, ratio in re.findall(
            r'^# (\w+), (.*), there and back / 2: .* ratio ([\d.]+) \(target',
            text, flags=re.M):
        found.append(Target(f'{name}, {state}: 1 TiB / 64 MiB', float(ratio),
                            MICRO_LIMIT))
    for state, mebibytes in re.findall(
            r'^# (\w+), metadata of 1 TiB: ([\d.]+) MiB', text, flags=re.M):
        found.append(Target(f'metadata of 1 TiB, {state}', float(mebibytes),
                            METADATA_LIMIT, unit=' MiB'))
    return found


def run_rounds(options: argparse.Namespace, patched: Path,
               unpatched: Path) -> dict:
    """Measure on KVM; returns the raw numbers."""
    # Something that is writable there
    with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
        output = Path(directory) / 'figures.json'
        command = [REPO / 'scripts' / 'with-kvm', '--timeout',
                   str(120 + 300 * options.rounds)]
        if options.emulate or options.small_pages:
            command.append('--emulate')
        if options.instructions:
            command.append('--count-instructions')
        command += ['--', *inside(
            'python3', '-m', 'workbench.measure.rounds',
            '--patched', str(patched), '--unpatched', str(unpatched),
            '--bound', str(build_dir() / 'tests' / 'measure' / 'floor'),
            '--payload', str(build_dir() / 'tests' / 'guest' / 'bench.bin'),
            '--rounds', str(options.rounds), '--output', str(output),
            *(['--small-pages'] if options.small_pages else []))]
        if subprocess.run(command, check=False,
                          stdin=subprocess.DEVNULL).returncode:
            raise Failure('the measurement failed, see the messages above')
        return json.loads(output.read_text())


def run_micro(binary: Path) -> str:
    said: list[str] = []

    def body(bar: Bar) -> None:
        said.append(subprocess.run([binary, '--tap'], check=True, text=True,
                                   capture_output=True).stdout)

    step('Measure the bookkeeping alone', body)
    return said[0]


def report(title: str, rows: list[list[str]], left: int = 1) -> None:
    print(f'\n{title}\n\n{table(rows, left)}')


def built(options: argparse.Namespace) -> tuple[Path, Path, Path | None]:
    """Build all programs: patched and unpatched QEMU, the micro-benchmark."""
    if not options.no_rebuild:
        wanted = ['bzImage-lts', 'tests/guest/bench.bin', 'tests/measure/floor']
        build(*wanted, *([] if options.patched else ['qemu-version']))
    patched = options.patched or build_dir() / 'bin' / 'qemu-system-x86_64'
    if options.unpatched:
        unpatched = options.unpatched
    elif options.no_rebuild:
        unpatched = qemu.place(UNPATCHED) / 'build' / 'qemu-system-x86_64'
    else:
        unpatched = build_unpatched()
    return (patched.resolve(strict=True), unpatched.resolve(strict=True),
            micro_benchmark(not options.no_rebuild and not options.patched))


def run(options: argparse.Namespace) -> int:
    patched, unpatched, micro = built(options)
    raw = run_rounds(options, patched, unpatched)
    figures = Figures(raw)
    unit = ('thousands of instructions' if options.instructions else
            'microseconds')
    said = run_micro(micro) if micro else ''
    if options.json:
        options.json.write_text(json.dumps({**raw, 'micro': said}, indent=1))

    report(f'Medians of {options.rounds} rounds; "rounds" is the range of the '
           'ratio over the rounds', time_rows(figures, unit), left=2)
    report('Effect of guest RAM', memory_rows(figures))
    report(f'Discard policies of memory-backend-memfd-private, {size(LITTLE)}',
           policy_rows(figures, unit))
    report('Targets', [TARGET_HEAD, *(one.row() for one in targets(figures))])
    if micro:
        print('\nBookkeeping alone, without KVM and without emulation\n')
        print('\n'.join(line[2:] for line in said.splitlines()
                        if 'TiB' in line))
        report('Targets', [TARGET_HEAD,
                           *(one.row() for one in micro_targets(said))])
    else:
        print(f'\n{MICRO} is not built: the bookkeeping alone is not measured')
    return 0
