# SPDX-License-Identifier: GPL-2.0-or-later
"""
Build and test QEMU with the series for the other bases.

A base is a version of QEMU that the series is for, see --base.  For each of them
but that of the build directory, the command does in a directory below it what
scripts/build qemu, scripts/check qemu unit and scripts/check qemu qtest do.

Exit status: 0 only if all is built and all tests pass.
"""

import os
import subprocess

from ..base import bases
from ..base.bases import BASES
from ..base.command import new_parser
from ..base.paths import BASE_VARIABLE, REPO, build_dir

COMMANDS = (('build', 'qemu'), ('check', 'qemu', 'unit'),
            ('check', 'qemu', 'qtest'))


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check bases')
    parser.parse_args()
    own = bases.current()
    for base in BASES.values():
        if base == own:
            continue
        directory = build_dir() / f'base-{base.version}'
        directory.mkdir(parents=True, exist_ok=True)
        environ = {**os.environ, BASE_VARIABLE: base.version,
                   'QMP_BUILD_DIR': str(directory)}
        for name, *arguments in COMMANDS:
            print(f'QEMU {base.version}: scripts/{name} {" ".join(arguments)}',
                  flush=True)
            status = subprocess.run([REPO / 'scripts' / name, *arguments],
                                    env=environ, check=False).returncode
            if status:
                return status
    return 0
