# SPDX-License-Identifier: GPL-2.0-or-later
"""
Another Debian than the machine's, Debian 13 for most: root file systems, made
once per content by mmdebstrap from the machine's own mirror, and commands in
them.
"""

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..base.paths import cache_dir, digest, made_whole
from ..base.steps import Bar, Progress, run_logged, step
from .apt import Apt, as_root
from .sources import SUITE

DIRECTORY = 'debian'
# Mounts are the namespace's own, so they are gone when the command is
MOUNT_AND_RUN = '''
root=$1
shift
mount --rbind /dev "$root/dev"
mount --rbind /proc "$root/proc"
while [ "$1" != -- ]; do
    mkdir --parents "$root/$2"
    mount --rbind "$1" "$root/$2"
    shift 2
done
shift
exec chroot "$root" "$@"
'''
ENVIRONMENT = ['env', '--ignore-environment', 'HOME=/root', 'LC_ALL=C.UTF-8',
               'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
               'DEBIAN_FRONTEND=noninteractive']


def mirror_options() -> list[str]:
    """What the machine's apt needs to use the mirror: proxies, and leave to take
    what is old there."""
    dump = subprocess.run(['apt-config', 'dump'], check=True, text=True,
                          capture_output=True).stdout
    return [line for line in dump.splitlines()
            if re.match(r'Acquire::(.*::proxy|check-valid-until) ', line, re.I)]


def tarball_of(name: str, suite: str, options: Sequence[str],
               made_from: str) -> Path:
    """What mmdebstrap makes with these options, of a suite."""
    target = cache_dir() / DIRECTORY / f'{name}-{made_from}'
    tarball = target / 'root.tar.zst'

    def body(bar: Bar) -> None:
        apt = Apt(suite)
        apt.update(bar)
        with made_whole(target) as scratch:
            run_logged(
                [*as_root(), 'unshare', '--mount', 'mmdebstrap', '--mode=root',
                 *(f'--aptopt={line}' for line in mirror_options()),
                 '--aptopt=APT::Get::Assume-Yes "true"',
                 '--aptopt=APT::Install-Recommends "false"',
                 '--aptopt=Acquire::Retries "3"',
                 *options, suite, scratch / tarball.name,
                 apt.home / 'this.sources'],
                bar, log=f'chroot-{name}')

    if not target.exists():
        step(f'Set up a Debian {suite}: {name}', body)
    return tarball


def make(name: str, packages: Sequence[str], files: Sequence[Path],
         command: str) -> Path:
    """
    The tarball of a root file system with these packages, in which `command`
    was run, in a directory with copies of `files`.
    """
    copies = [f'--customize-hook=copy-in {shlex.join(map(str, files))} '
              '/files'] if files else []
    script = shlex.quote(f'cd /files\n{command}')
    return tarball_of(
        name, SUITE,
        ['--variant=minbase', f'--include={",".join(packages)}',
         '--dpkgopt=force-unsafe-io', '--customize-hook=mkdir "$1/files"',
         *copies, f'--customize-hook=chroot "$1" sh -euc {script}'],
        digest([SUITE, *packages, command, *files]))


def extract(name: str, suite: str, packages: Sequence[str]) -> Path:
    """
    The tarball of these packages and all that they depend on, for programs
    that need their files only: no script of a package has been run.
    """
    return tarball_of(name, suite,
                      ['--variant=extract', f'--include={",".join(packages)}'],
                      digest([suite, *packages]))


@contextmanager
def unpacked(tarball: Path) -> Iterator[Path]:
    """A root file system, to be changed at will and thrown away."""
    directory = tempfile.mkdtemp(prefix='.root-', dir=cache_dir() / DIRECTORY)
    try:
        subprocess.run([*as_root(), 'tar', '--extract', '--file', tarball,
                        '--directory', directory], check=True)
        yield Path(directory)
    finally:
        subprocess.run([*as_root(), 'rm', '--recursive', '--force',
                        '--one-file-system', directory], check=True)


def inside(root: Path, command: Sequence[str | Path],
           mounts: Mapping[Path, str] | None = None) -> list[str]:
    """How to run `command` in a root file system, with directories of this
    machine at other places in it."""
    pairs = [str(part) for pair in (mounts or {}).items() for part in pair]
    return [*as_root(), 'unshare', '--mount', 'sh', '-euc', MOUNT_AND_RUN,
            'sh', str(root), *pairs, '--', *ENVIRONMENT, *map(str, command)]


def run(bar: Bar, root: Path, command: Sequence[str | Path], *, log: str,
        mounts: Mapping[Path, str] | None = None,
        progress: Progress | None = None) -> None:
    """Run `command` in a root file system, as a part of a step."""
    run_logged(inside(root, command, mounts), bar, log=log, progress=progress)
