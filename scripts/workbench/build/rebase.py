# SPDX-License-Identifier: GPL-2.0-or-later
"""The series on a QEMU tree of the user's own, as a branch there."""

import os
import subprocess
from pathlib import Path

from ..base.steps import Bar, Failure, step
from .qemu import BASE_TAG, GIT, Tree, git, identity

BRANCH = 'private-memory'
BASE = f'refs/{BRANCH}/base'
# A conflict that was resolved once is resolved again
RERERE = ('-c', 'rerere.enabled=true', '-c', 'rerere.autoupdate=true')


def _conflicts(onto: Path) -> list[str]:
    return git(onto, 'diff', '--name-only', '--diff-filter=U').split()


def _rebase(onto: Path, head: str) -> bool:
    """False if it stopped at a conflict."""
    said = subprocess.run(
        [*GIT, *RERERE, 'rebase', '--quiet', '--onto', head, BASE, BRANCH],
        cwd=onto, capture_output=True, text=True, check=False,
        env={**os.environ, **identity(onto)})
    while said.returncode:
        if not (onto / git(onto, 'rev-parse', '--git-path', 'rebase-merge'
                           ).strip()).exists():
            raise Failure(f'git rebase: {said.stderr.strip()}')
        if _conflicts(onto):
            return False
        # All of them were resolved before
        said = subprocess.run(
            [*GIT, *RERERE, '-c', 'core.editor=true', 'rebase', '--continue'],
            cwd=onto, capture_output=True, text=True, check=False,
            env={**os.environ, **identity(onto)})
    return True


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
        return _rebase(onto, head)

    if not step(f'Rebase the series onto {head[:12]}', body):
        raise Failure(
            f'{", ".join(_conflicts(onto))} in {onto}: both changed it; '
            'resolve the conflict, git add, and run git -c rerere.enabled=true '
            'rebase --continue there (or --abort)')
    print(f'branch {BRANCH} in {onto}: '
          + git(onto, 'rev-list', '--count', f'{head}..{BRANCH}').strip()
          + ' patches')
