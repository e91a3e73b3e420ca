# SPDX-License-Identifier: GPL-2.0-or-later
"""The environment in which the Python that drives guests runs."""

import os
from pathlib import Path

from ..base.paths import REPO, build_dir


def emulated() -> bool:
    """Whether this runs on the emulated machine of scripts/with-kvm."""
    return 'with_kvm=1' in Path('/proc/cmdline').read_text().split()


def nightly() -> bool:
    """Whether all is done in full, as scripts/check --nightly wants it."""
    return bool(os.environ.get('QMP_NIGHTLY'))


def inside(*command: str) -> list[str]:
    """`command` with our modules and QEMU's own Python packages in its path."""
    path = f'{REPO}/scripts:{build_dir()}/qemu/python'
    return ['env', 'PATH=/usr/bin:/bin:/usr/sbin:/sbin',
            f'PYTHONPATH={path}', 'PYTHONDONTWRITEBYTECODE=1',
            f'QMP_BUILD_DIR={build_dir()}',
            *(['QMP_NIGHTLY=1'] if nightly() else []), *command]
