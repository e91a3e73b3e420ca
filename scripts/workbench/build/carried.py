# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the series that are carried come from: patches, and git's names."""

import hashlib
import os
import subprocess
import tempfile
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path

from ..base import bases
from ..base.bases import FIRST, Base
from ..base.paths import REPO, build_dir
from ..base.steps import Bar, Failure, step
from . import carry
from .qemu import BASE_TAG, Tree, git, patches

REFS = 'refs/carry'


def _object(kind: str, content: bytes) -> bytes:
    return hashlib.sha1(b'%s %d\0%s' % (kind.encode(), len(content), content)
                        ).digest()


def _tree(directory: Path) -> bytes:
    # git sorts directories as if their names ended so
    order = {os.fsencode(path.name) + b'/' * path.is_dir(): path
             for path in directory.iterdir()}
    return _object('tree', b''.join(
        b'40000 %s\0%s' % (os.fsencode(path.name), _tree(path))
        if path.is_dir() else
        b'100644 %s\0%s' % (os.fsencode(path.name),
                            _object('blob', path.read_bytes()))
        for _, path in sorted(order.items())))


def tree_name(directory: Path) -> str:
    """How git names a directory with these files."""
    return _tree(directory).hex()


def _since(base: Base, commit: str) -> str:
    """The patches that were carried last, as git names them."""
    place = FIRST.series.relative_to(REPO)
    if commit:
        return git(REPO, 'rev-parse', f'{commit}:{place}').strip()
    name = base.carried.read_text().strip()
    if subprocess.run(['git', 'cat-file', '-e', name], cwd=REPO,
                      capture_output=True, check=False).returncode:
        raise Failure(f'{base.carried} names {name}, which this clone does '
                      f'not have: name a commit in which {place} was the same '
                      'as here, with --since')
    return name


def _unpack(name: str, target: Path) -> None:
    target.mkdir()
    with subprocess.Popen(['git', 'archive', '--format=tar', name], cwd=REPO,
                          stdout=subprocess.PIPE) as archive:
        subprocess.run(['tar', '--extract'], cwd=target, stdin=archive.stdout,
                       check=True)
    if archive.returncode:
        raise Failure(f'git cannot read {name}')


def _remember(name: str) -> None:
    """Have git know the patches by that name, committed or not."""
    with tempfile.TemporaryDirectory() as directory:
        environ = {'GIT_INDEX_FILE': f'{directory}/index'}
        place = FIRST.series.relative_to(REPO)
        git(REPO, 'add', '--force', '--', str(place), **environ)
        written = git(REPO, 'write-tree', f'--prefix={place}/', **environ)
    if written.strip() != name:
        raise Failure(f'{place} has changed while it was read')


def _commits(bar: Bar, scratch: Path, old: list[Path], new: list[Path],
             target: Path) -> None:
    """Let `target` have the commits of the first base's series, both."""
    common = len(list(takewhile(
        lambda pair: pair[0].read_bytes() == pair[1].read_bytes(),
        zip(old, new))))
    tree = Tree(scratch, base=FIRST)
    tree.create(bar, old[:common])
    start = tree.head()
    for name, series in (('old', old), ('new', new)):
        git(scratch, 'checkout', '--quiet', '-B', name, start)
        tree.am(bar, series[common:])
    git(target, 'fetch', '--quiet', '--no-tags', '--force', str(scratch),
        f'refs/heads/old:{REFS}/old', f'refs/heads/new:{REFS}/new',
        f'refs/tags/{BASE_TAG}:{REFS}/base')


def _make(tree: Tree, body: Callable[[Callable[[float], None]], carry.Plan]
          ) -> carry.Plan:
    return step(f'Make the patches for QEMU {tree.base.version}',
                lambda bar: body(bar.draw))


def _begin(tree: Tree, since: str) -> carry.Plan | None:
    name = tree_name(FIRST.series)
    old = _since(tree.base, since)
    if old == name:
        print(f'  nothing to carry: patches/qemu-{FIRST.version} is what it '
              'was')
        return None
    _remember(name)
    with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
        _unpack(old, Path(directory) / 'old')
        step(f'Apply the patches for QEMU {FIRST.version}, before and after',
             lambda bar: _commits(bar, Path(directory) / 'qemu',
                                  patches(Path(directory) / 'old'),
                                  patches(FIRST.series), tree.path))
    tree.carried_file.write_text(f'{name}\n')
    return _make(tree, lambda progress: carry.begin(
        tree.path, f'{REFS}/base', f'{REFS}/old', f'{REFS}/new', BASE_TAG,
        progress))


def run(tree: Tree, since: str, resume: bool, abort: bool) -> None:
    """Carry to the tree's base."""
    if tree.base == FIRST:
        others = ' or '.join(one for one in bases.BASES
                             if one != FIRST.version)
        raise Failure(f'the series is carried from QEMU {FIRST.version}: use '
                      f'--base {others}')
    if abort:
        carry.abort(tree.path)
        tree.carried_file.unlink(missing_ok=True)
        return
    if resume:
        plan: carry.Plan | None = _make(
            tree, lambda progress: carry.resume(tree.path, progress))
    else:
        tree.ensure()
        if not tree.is_clean():
            raise Failure(f'{tree.path} has changes that are not committed: '
                          'commit them first')
        plan = _begin(tree, since)
    if plan:
        for note in plan.notes:
            print(f'  {note}')
        print(f'{plan.done} patches in {tree.path}: build it, and run '
              'scripts/series export')
