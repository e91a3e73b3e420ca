# SPDX-License-Identifier: GPL-2.0-or-later
"""From a fresh clone to everything built, through meson."""

import os
import subprocess
import sys

from ..base import bases
from ..base.paths import REPO, build_dir
from ..base.steps import Failure, run

BUILD = REPO / 'scripts' / 'build'


def _call(*command: str | os.PathLike[str]) -> None:
    """Run a part that shows its own steps."""
    sys.stdout.flush()
    if subprocess.run(command, check=False, stdin=subprocess.DEVNULL,
                      cwd=REPO).returncode:
        raise Failure('the build failed: see the messages above')


def build(*targets: str) -> None:
    """Set up what is missing and build meson targets, all by default."""
    os.environ['QMP_BUILD_DIR'] = str(build_dir())
    _call(BUILD, 'prepare')
    if not (build_dir() / 'build.ninja').exists():
        run('Set up the build directory',
            ['/usr/bin/meson', 'setup', build_dir(), REPO,
             f'-Dqemu_base={bases.current().version}'], log='meson-setup')
    _call('ninja', '--quiet', '-C', build_dir(), *targets)
