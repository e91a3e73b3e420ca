# SPDX-License-Identifier: GPL-2.0-or-later
"""Where things are: the repo, the build directory, the user's cache."""

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

REPO = Path(__file__).resolve().parents[3]
EMULATOR_SERIES = REPO / 'patches' / 'emulator'


# Which QEMU the series is on, if it is not this one
BASE_VARIABLE = 'QMP_BASE'
DEFAULT_BASE = '10.0'


def build_dir() -> Path:
    """
    The meson build directory: meson names it to its children.

    Each base has one of its own.
    """
    base = os.environ.get(BASE_VARIABLE, DEFAULT_BASE)
    name = 'build' if base == DEFAULT_BASE else f'build-{base}'
    return Path(os.environ.get('QMP_BUILD_DIR', REPO / name)).resolve()


def is_build_dir(directory: Path, repo: Path = REPO) -> bool:
    """
    Whether a directory is none of sources.  A command may have made one before
    meson did, see .gitignore.
    """
    return (directory / 'meson-info').exists() or \
        directory.parent == repo and \
        bool(re.fullmatch('build(-.*)?', directory.name))


def cache_dir() -> Path:
    base = os.environ.get('XDG_CACHE_HOME') or Path.home() / '.cache'
    path = Path(base) / 'qemu-memfd-private'
    path.mkdir(parents=True, exist_ok=True)
    return path


def digest(parts: Iterable[bytes | str | Path]) -> str:
    """Name a result by what it is made from: strings and files' contents."""
    sha = hashlib.sha256()
    for part in parts:
        if isinstance(part, Path):
            part = part.read_bytes()
        elif isinstance(part, str):
            part = part.encode()
        sha.update(len(part).to_bytes(8, 'little') + part)
    return sha.hexdigest()[:20]


def write_whole(file: Path, text: str) -> None:
    """Write a file that others see with all of this, or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile('w', dir=file.parent, prefix='.making-',
                                     delete=False) as scratch:
        scratch.write(text)
    Path(scratch.name).replace(file)


@contextmanager
def made_whole(target: Path) -> Iterator[Path]:
    """
    Give a scratch directory that becomes `target` only if the body succeeds,
    so that what exists in the cache is complete.  If two processes make the
    same thing at once the first one wins.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix='.making-', dir=target.parent))
    try:
        yield scratch
        try:
            scratch.rename(target)
        except OSError:
            if not target.exists():
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
