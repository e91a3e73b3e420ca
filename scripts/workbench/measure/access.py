# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses of QEMU to memory, in a VM without private memory."""

import argparse
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from ..base.paths import build_dir
from ..base.steps import Bar, Failure, step
from ..base.tables import table
from ..build.meson import build
from .conversion import build_unpatched

FEW, MANY = 100, 1100       # accesses of each kind; what is left is start-up
LIMIT = 300                 # seconds
MACHINE = ('-accel', 'qtest', '-machine', 'q35', '-m', '64M', '-nodefaults',
           '-display', 'none', '-qtest', 'stdio', '-qtest-log', '/dev/null')


def instructions(binary: Path, accesses: int) -> int:
    """How many instructions QEMU executes in these functions in all."""
    commands = 'writeq 0x200000 0x1\nreadq 0x200000\n' * accesses
    with tempfile.TemporaryDirectory() as directory, \
        subprocess.Popen(
            ['valgrind', '--tool=callgrind', '--collect-atstart=no',
             f'--callgrind-out-file={directory}/out',
             '--toggle-collect=address_space_write',
             '--toggle-collect=address_space_read_full', binary, *MACHINE],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        process.stdin.write(commands)
        process.stdin.flush()
        for _ in range(2 * accesses):
            process.stdout.readline()
        process.terminate()
        said = process.communicate(timeout=LIMIT)[1]
    match = re.search(r'Collected : (\d+)', said)
    if not match:
        raise Failure(f'valgrind counted nothing: {said[-200:]}')
    return int(match[1])


def run(_options: argparse.Namespace) -> int:
    if not shutil.which('valgrind'):
        raise Failure('valgrind is not installed: apt install valgrind')
    build('qemu-version')
    binaries = {'unpatched': build_unpatched(),
                'patched': build_dir() / 'bin' / 'qemu-system-x86_64'}
    each: dict[str, float] = {}

    def count(bar: Bar) -> None:
        for name, binary in binaries.items():
            few, many = (instructions(binary.resolve(), number)
                         for number in (FEW, MANY))
            each[name] = (many - few) / (2 * (MANY - FEW))

    step('Count instructions of accesses to memory', count)
    print(table([['instructions for an access of 8 bytes', 'unpatched',
                  'patched', 'patched/unpatched', ''],
                 ['without private memory', f'{each["unpatched"]:.1f}',
                  f'{each["patched"]:.1f}',
                  f'{each["patched"] / each["unpatched"]:.3f}', '']]))
    return 0
