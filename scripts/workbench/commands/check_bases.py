# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build and test QEMU with the series for the other bases.

A base is a version of QEMU that the series is for, see --base.  For each of them
but that of the build directory, the command does in a directory below it what
scripts/build qemu, scripts/check qemu unit and scripts/check qemu qtest do.
Then it runs guests of the types that this version has alone: TDX.

Exit status: 0 only if all is built and all tests pass.
"""

import os
import subprocess

from ..base import bases
from ..base.bases import BASES, FIRST, Base
from ..base.command import new_parser
from ..base.paths import BASE_VARIABLE, REPO, build_dir
from ..guest.groups import OTHER_BASES

COMMANDS = (('build', 'qemu'), ('check', 'qemu', 'unit'),
            ('check', 'qemu', 'qtest'))
# With the guests and kernels of this build directory
GUESTS = ('check', *OTHER_BASES)


def run(base: Base, words: tuple[str, ...], environ: dict[str, str]) -> int:
    name, *arguments = words
    print(f'QEMU {base.version}: scripts/{name} {" ".join(arguments)}',
          flush=True)
    return subprocess.run([REPO / 'scripts' / name, *arguments],
                          env={**os.environ, **environ},
                          check=False).returncode


def check(base: Base) -> int:
    directory = build_dir() / f'base-{base.version}'
    directory.mkdir(parents=True, exist_ok=True)
    for words in COMMANDS:
        status = run(base, words, {BASE_VARIABLE: base.version,
                                   'QMP_BUILD_DIR': str(directory)})
        if status:
            return status
    if base == FIRST:
        return 0
    return run(base, GUESTS, {'QMP_QEMU_BINARY': str(
        directory / 'bin' / 'qemu-system-x86_64')})


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check bases')
    parser.parse_args()
    own = bases.current()
    for base in BASES.values():
        if base != own:
            status = check(base)
            if status:
                return status
    return 0
