# SPDX-License-Identifier: GPL-2.0-or-later
"""From the start of QEMU to the first output of an SEV-SNP guest."""

import argparse
import subprocess
import time
from pathlib import Path

from ..base.paths import REPO, build_dir
from ..base.steps import Bar, Failure, main, step
from ..base.tables import table
from ..build.meson import build
from ..guest.vm_types import VM_TYPES
from ..machine.surroundings import inside
from .conversion import build_unpatched

VM_TYPE = 'sev-snp'
SIZES = (1, 16, 64)     # GiB
FIRST = '# step start'


def processor_time(pid: int) -> int:
    """Nanoseconds that all threads of a process have run, KVM's included."""
    # As clock_getcpuclockid() has it, which Python has not
    return time.clock_gettime_ns(~pid << 3 | 2)


def instructions(binary: Path, payload: Path, size: int) -> int:
    """Nanoseconds until the guest's first output, each an instruction on that
    machine.  What QEMU waits for is not in it."""
    vm_type = VM_TYPES[VM_TYPE]
    arguments = [
        str(binary), '-nodefaults', '-display', 'none', '-accel', 'kvm',
        *vm_type.arguments, '-object',
        f'memory-backend-ram,id=ram0,size={size}G,reserve=off',
        '-machine', f'q35,memory-backend=ram0{vm_type.machine}',
        '-m', f'{size}G', '-serial', 'stdio', '-bios', str(payload)]
    with subprocess.Popen(arguments, stdin=subprocess.DEVNULL, text=True,
                          stdout=subprocess.PIPE) as process:
        assert process.stdout
        try:
            for line in process.stdout:
                if line.startswith(FIRST):
                    return processor_time(process.pid)
        finally:
            process.kill()
    raise Failure(f'the guest did not start: {arguments}')


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ('patched', 'unpatched', 'payload'):
        parser.add_argument(f'--{name}', type=Path, required=True)
    options = parser.parse_args()
    rows = [['millions of instructions', 'patched', 'unpatched',
             'patched / unpatched', '']]

    def all_of_it(bar: Bar) -> None:
        # Programs and libraries are read from the host once
        for binary in (options.patched, options.unpatched):
            instructions(binary, options.payload, 1)
        for number, size in enumerate(SIZES):
            bar.draw(number / len(SIZES))
            patched, unpatched = (
                instructions(binary, options.payload, size) / 1e6
                for binary in (options.patched, options.unpatched))
            rows.append([f'{size} GiB', f'{patched:.0f}', f'{unpatched:.0f}',
                         f'{patched / unpatched:.2f}', ''])

    step('Start guests', all_of_it)
    print(f'\n{table(rows)}')
    return 0


def run(_options: argparse.Namespace) -> int:
    build('bzImage-lts', 'tests/guest/halves.bin', 'qemu-version')
    binaries = {'patched': build_dir() / 'bin' / 'qemu-system-x86_64',
                'unpatched': build_unpatched()}
    command = [REPO / 'scripts' / 'with-kvm', '--count-instructions',
               '--append', VM_TYPES[VM_TYPE].kernel_parameter, '--',
               *inside('python3', '-m', 'workbench.measure.start',
                       '--payload', str(build_dir() / 'tests/guest/halves.bin'),
                       *(f'--{name}={path.resolve()}'
                         for name, path in binaries.items()))]
    return subprocess.run(command, check=False,
                          stdin=subprocess.DEVNULL).returncode


if __name__ == '__main__':
    main(body)
