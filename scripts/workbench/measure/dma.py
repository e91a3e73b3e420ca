# SPDX-License-Identifier: GPL-2.0-or-later
"""Mappings of shared memory for an assigned device."""

import argparse
import subprocess
import tempfile
from pathlib import Path

from ..base.paths import REPO
from ..base.steps import Bar, Failure, main, step
from ..base.tables import TARGET_HEAD, Target, table
from ..build.meson import build
from ..machine.surroundings import inside
from ..trace.trace import Event, events

MEMORY = (64, 256, 1024)        # MiB of guest RAM, all of it shared
KINDS = {'pages': '4k', 'pieces': '2M'}
CONTAINERS = ('type1', 'iommufd')
MOST_CALLS = 1024               # for the largest, in pieces
LIMIT = 1500                    # seconds, for all


def mapped_once(trace: str) -> list[Event]:
    """The calls that mapped all memory: most of those between two that unmap
    some, as the board does when it moves memory at its reset."""
    bursts: list[list[Event]] = [[]]
    for event in events(trace):
        if event.name == 'vfio_pieces_unmap':
            bursts.append([])
        elif event.name == 'vfio_pieces_map' and event.field('ret') == 0:
            bursts[-1].append(event)
    return max(bursts, key=len)


def measure(device: str, container: str, memory: int, kind: str,
            directory: Path) -> list[str]:
    """Cells: how many calls, and how long they took."""
    # QEMU's own Python package is there only inside
    from ..guest.guest import Guest, assigned_device
    guest = Guest(
        'dma', directory=directory, memory=f'{memory}M',
        machine='q35,memory-backend=ram0', parameters={'steps': 0},
        arguments=['-object', 'memory-backend-memfd-private,id=ram0,'
                   f'size={memory}M',
                   *assigned_device(device, container,
                                    f',map-granularity={KINDS[kind]}'),
                   '-trace', 'vfio_pieces*'])
    try:
        guest.launch()
        guest.finish(limit=300)
    except Exception:
        if 'No space left on device' in (guest.get_log() or ''):
            return ['refused', '']
        raise
    finally:
        guest.shutdown(hard=True)
    calls = mapped_once(guest.trace())
    if not calls:
        raise Failure(f'{container}, {memory} MiB: nothing was mapped')
    return [str(len(calls)),
            f'{1000 * (calls[-1].time - calls[0].time):.0f}']


def ratio(a: str, b: str) -> str:
    return f'{int(b) / int(a):.3f}' if a and b and int(a) else ''


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('device')
    device = parser.parse_args().device
    rows = [['RAM', 'container', 'pages: calls', 'ms', 'pieces: calls', 'ms',
             'time']]
    most = 0.0

    def all_of_it(bar: Bar) -> None:
        nonlocal most
        runs = [(memory, container) for memory in MEMORY
                for container in CONTAINERS]
        for number, (memory, container) in enumerate(runs):
            bar.draw(number / len(runs))
            with tempfile.TemporaryDirectory() as directory:
                pages, pieces = (measure(device, container, memory, kind,
                                         Path(directory)) for kind in KINDS)
            most = max(most, float(pieces[0]))
            rows.append([f'{memory} MiB', container, *pages, *pieces,
                         ratio(pages[1], pieces[1])])

    step('Map memory for an assigned device', all_of_it)
    print(f'\n{table(rows, left=2)}\n')
    print(table([TARGET_HEAD,
                 Target('calls for 1 GiB in pieces', most, MOST_CALLS).row()]))
    return 0


def run(_options: argparse.Namespace) -> int:
    build('bzImage-lts', 'tests/guest/dma.bin', 'qemu-version')
    command = [REPO / 'scripts' / 'with-kvm', '--iommu', '--timeout',
               str(LIMIT), '--', *inside('sh', '-c',
               'exec python3 -m workbench.measure.dma "$WITH_KVM_DEVICE"')]
    return subprocess.run(command, check=False,
                          stdin=subprocess.DEVNULL).returncode


if __name__ == '__main__':
    main(body)
