# SPDX-License-Identifier: GPL-2.0-or-later
"""The series on a QEMU tree of the user's own, as a branch there."""

import os
import subprocess
from pathlib import Path

from ..base.steps import Bar, Failure, step
from .carry import RERERE, unmerged
from .qemu import BASE_TAG, GIT, Tree, git, identity

BRANCH = 'private-memory'
BASE = f'refs/{BRANCH}/base'


def _rebase(onto: Path, *arguments: str) -> bool:
    """Go on to the end; False if there is a conflict that is not known."""
    said = subprocess.run(
        [*GIT, *RERERE, '-c', 'core.editor=true', 'rebase', *arguments],
        cwd=onto, capture_output=True, text=True, check=False,
        env={**os.environ, **identity(onto)})
    if not said.returncode:
        return True
    if not (onto / git(onto, 'rev-parse', '--git-path', 'rebase-merge'
                       ).strip()).exists():
        raise Failure(f'git rebase: {said.stderr.strip()}')
    # Without any, all of them were resolved before
    return not unmerged(onto) and _rebase(onto, '--continue')


def run(tree: Tree, onto: Path) -> None:
    """
    Make a branch of what is checked out in `onto`, with the series on it.

    git merges each patch with what the tree has, for which it gets the files
    of the QEMU that the series was made for.
    """
    if not (onto / '.git').exists():
        raise Failure(f'{onto} is no git tree: name the top of one')
    if git(onto, 'status', '--porcelain', '--untracked-files=no'):
        raise Failure(f'{onto} has changes that are not committed: commit '
                      'them first')
    if git(onto, 'branch', '--list', BRANCH):
        raise Failure(f'{onto} has a branch {BRANCH}: delete or rename it')
    head = git(onto, 'rev-parse', 'HEAD').strip()

    def body(_bar: Bar) -> bool:
        git(onto, 'fetch', '--quiet', '--no-tags', str(tree.path),
            f'HEAD:refs/heads/{BRANCH}', f'+refs/tags/{BASE_TAG}:{BASE}')
        return _rebase(onto, '--quiet', '--onto', head, BASE, BRANCH)

    if not step(f'Rebase the series onto {head[:12]}', body):
        raise Failure(
            f'{", ".join(unmerged(onto))} in {onto}: both changed it; '
            'resolve the conflict, git add, and run git -c rerere.enabled=true '
            'rebase --continue there (or --abort)')
    print(f'branch {BRANCH} in {onto}: '
          + git(onto, 'rev-list', '--count', f'{head}..{BRANCH}').strip()
          + ' patches')
