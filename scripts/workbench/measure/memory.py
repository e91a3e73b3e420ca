# SPDX-License-Identifier: GPL-2.0-or-later
"""Host memory of an SEV-SNP guest with Linux, over time."""

import argparse
import json
import os
import re
import subprocess
import tempfile
import time
from pathlib import Path

from ..base.paths import REPO, build_dir
from ..base.steps import Bar, main, step
from ..base.tables import TARGET_HEAD, Target, table
from ..build.meson import build
from ..build.sources import debian_guest as debian_packages, ovmf_image
from ..guest import debian_guest
from ..guest.memcg import MemoryCgroup
from ..guest.vm_types import VM_TYPES
from ..machine.surroundings import inside
from .conversion import build_unpatched

RAM = 1 << 10           # MiB
MIB = 1 << 20
DISK = 64 * MIB
INIT = REPO / 'tests' / 'linux' / 'memory-init'
UNPATCHED = 'unpatched'
STEPS = 5               # of the guest
CASES = (UNPATCHED, 'discard=both', 'discard=none')
COUNTED = ('anon', 'shmem', 'unevictable')
INTERVAL = 0.25         # seconds
LIMIT = 900             # seconds, for a guest
MOST = 1.02             # of the guest's RAM
VM_TYPE = 'sev-snp-c-bit'


def measure(case: str, directory: Path, bar: Bar) -> dict[str, list]:
    """Samples of time and MiB, and when the guest's steps began."""
    # QEMU's own Python package is there only inside
    from ..guest.guest import Guest
    group = MemoryCgroup('measure')
    disk = directory / 'disk'
    disk.write_bytes(os.urandom(DISK))
    discard = '' if case == UNPATCHED else f',{case}'
    guest = Guest(
        'c-bit', directory=directory, memory=f'{RAM}M', trace=False,
        vm_type=VM_TYPE, machine='q35,memory-backend=ram0',
        wrapper=group.wrapper(), arguments=[
            '-cpu', 'host', '-bios', os.environ['QMP_OVMF'],
            '-object', f'memory-backend-ram,id=ram0,size={RAM}M{discard}',
            *debian_guest.arguments(directory, INIT),
            '-netdev', 'user,id=n0', '-device', 'virtio-net-pci,netdev=n0',
            '-drive', f'if=none,id=d0,format=raw,file={disk}',
            '-device', 'virtio-blk-pci,drive=d0'])
    samples: list[tuple[float, float]] = []
    steps: list[tuple[float, str]] = []
    try:
        guest.launch()
        begin = time.monotonic()
        while guest.is_running():
            now = time.monotonic() - begin
            if now > LIMIT:
                raise TimeoutError(guest.serial()[-2000:])
            samples.append((now, group.statistics(*COUNTED) / MIB))
            names = re.findall('init: step (.*)\n', guest.serial())
            steps += [(now, name) for name in names[len(steps):]]
            bar.draw(len(steps) / (STEPS + 1))
            time.sleep(INTERVAL)
        guest.wait()
        if 'init: done' not in guest.serial():
            raise RuntimeError(guest.get_log() + guest.serial()[-2000:])
        return {'samples': samples, 'steps': steps}
    finally:
        guest.stop()


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--case', choices=CASES, required=True)
    parser.add_argument('--output', type=Path, required=True)
    options = parser.parse_args()

    def measured(bar: Bar) -> None:
        with tempfile.TemporaryDirectory() as directory:
            options.output.write_text(json.dumps(
                measure(options.case, Path(directory), bar)))

    step(f'Measure memory, {options.case}', measured)
    return 0


def draw(results: dict[str, dict[str, list]], output: Path) -> None:
    """Memory over time, each guest's steps being where they were."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    matplotlib.rcParams.update({'font.size': 9, 'svg.hashsalt': 'memory'})
    figure = Figure(figsize=(8, 6.5), layout='constrained')
    FigureCanvasAgg(figure)
    highest = max(mib for result in results.values()
                  for _, mib in result['samples'])
    for axes, (case, result) in zip(
            figure.subplots(len(results), sharex=True, sharey=True),
            results.items()):
        axes.axhline(RAM, color='#b04040', linewidth=1)
        axes.fill_between(*zip(*result['samples']), color='#7090b0',
                          linewidth=0)
        for when, name in result['steps']:
            axes.axvline(when, color='#404040', linewidth=0.6)
            axes.annotate(name, (when, highest * 1.12), rotation=90,
                          va='top', ha='left', fontsize=7,
                          xytext=(2, 0), textcoords='offset points')
        axes.set_title(case, loc='left', fontsize=9)
        axes.set_ylabel('MiB')
        axes.set_ylim(0, highest * 1.15)
        axes.margins(x=0)
    axes.set_xlabel('seconds after the start of the guest; the line is its RAM')
    figure.savefig(output, format='svg', metadata={'Date': None,
                                                   'Creator': None})


def run(options: argparse.Namespace) -> int:
    build('bzImage-lts', 'tests/guest/c-bit.bin', 'qemu-version')
    patched = build_dir() / 'bin' / 'qemu-system-x86_64'
    unpatched = build_unpatched()
    results = {}
    for case in CASES:
        raw = build_dir() / 'logs' / 'memory.json'
        binary = unpatched if case == UNPATCHED else patched
        done = subprocess.run(
            [REPO / 'scripts' / 'with-kvm', '--append',
             VM_TYPES[VM_TYPE].kernel_parameter, '--',
             *inside('python3', '-m', 'workbench.measure.memory',
                     '--case', case, '--output', str(raw))],
            stdin=subprocess.DEVNULL, check=False, env={
                **os.environ, 'QMP_QEMU_BINARY': str(binary.resolve()),
                'QMP_OVMF': str(ovmf_image()),
                debian_guest.PACKAGES: str(debian_packages())})
        if done.returncode:
            return 1
        results[case] = json.loads(raw.read_text())
    rows = [['MiB', 'at the first step', 'most']]
    for case, result in results.items():
        first = result['steps'][0][0]
        rows.append([case,
                     f'{max(m for t, m in result["samples"] if t <= first):.0f}',
                     f'{max(m for _, m in result["samples"]):.0f}'])
    print(f'\n{table(rows)}\n')
    most = max(mib for _, mib in results['discard=both']['samples'])
    print(table([TARGET_HEAD, Target('discard=both: most, of the RAM',
                                     most / RAM, MOST).row()]))
    if options.plot:
        draw(results, options.plot)
    return 0


if __name__ == '__main__':
    main(body)
