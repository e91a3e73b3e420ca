# SPDX-License-Identifier: GPL-2.0-or-later
"""
Take what has changed in the series of one base to that of another.

Both are commits of one git repo: the series as it was when it was carried last
(old), as it is now (new), and that of the other base (there).  Patches are
matched by their subjects.  Each patch there is made anew, in the order of the
new ones: it is picked as it is, and what has changed between old and new is
merged into it.  So what was resolved before is in the patches there already,
and nothing need be recorded.  What conflicts is left in the work tree.
"""

import json
import re
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from ..base.paths import write_whole
from ..base.steps import Failure
from .qemu import GIT, git, identity

PLAN = 'series-carry.json'      # in .git, while it is not at its end
BRANCH = 'series'
RERERE = ('-c', 'rerere.enabled=true', '-c', 'rerere.autoupdate=true')


@dataclass(frozen=True)
class Step:
    """A patch that is to be made, from commits; '' for one that is not."""
    subject: str
    old: str
    new: str
    there: str


@dataclass
class Plan:
    """What is to be done, and how far it is."""
    steps: list[Step]
    start: str                  # where the branch was
    head: str                   # what has been made so far
    done: int = 0
    stopped: bool = False       # at a conflict, in the step that is next
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Merge:
    """Three trees or commits, what became of them, and files in conflict."""
    base: str
    ours: str
    theirs: str
    tree: str
    conflicts: tuple[str, ...]
    alone: bool = False         # has nothing of the patch that is there


def by_subject(repo: Path, base: str, tip: str) -> dict[str, str]:
    """Subjects and commits, in order."""
    found: dict[str, str] = {}
    for line in git(repo, 'log', '--reverse', '--format=%H %s',
                    f'{base}..{tip}').splitlines():
        commit, subject = line.split(' ', 1)
        if subject in found:
            raise Failure(f"two patches are called '{subject}': give one of "
                          'them another subject')
        found[subject] = commit
    return found


def steps(old: dict[str, str], new: dict[str, str], there: dict[str, str]
          ) -> list[Step]:
    """
    What there is to do.

    A patch that is only there stays behind the one that it is behind now.
    """
    behind: dict[str, list[str]] = {}
    last = ''
    for subject in there:
        if subject in new:
            last = subject
        elif subject not in old:
            behind.setdefault(last, []).append(subject)
    found = [Step(subject, '', '', there[subject])
             for subject in behind.get('', [])]
    for subject, commit in new.items():
        # One that is not there although it could be was left out on purpose
        if subject in there or subject not in old:
            found.append(Step(subject, old.get(subject, ''), commit,
                              there.get(subject, '')))
        found += [Step(one, '', '', there[one])
                  for one in behind.get(subject, [])]
    return found


def change(repo: Path, commit: str) -> dict[str, str]:
    """What a commit does to each file, wherever in the file that is."""
    text = git(repo, 'diff-tree', '-p', '--no-renames', commit)
    text = re.sub(r'^(index [0-9a-f]+\.\.[0-9a-f]+|@@ [^@]+ @@.*)', '', text,
                  flags=re.M)
    parts = re.split(r'^diff --git a/.* b/(.*)\n', text, flags=re.M)
    return dict(zip(parts[1::2], parts[2::2]))


def _tree(repo: Path, name: str) -> str:
    return git(repo, 'rev-parse', f'{name}^{{tree}}').strip()


def _commit(repo: Path, tree: str, *parents: str) -> str:
    return git(repo, 'commit-tree', tree, '-m', 'carry',
               *(word for parent in parents for word in ('-p', parent)),
               **identity(repo)).strip()


def merge(repo: Path, base: str, ours: str, theirs: str) -> Merge:
    """Merge three trees, or those of commits, without a work tree."""
    common = _commit(repo, _tree(repo, base))
    result = subprocess.run(
        [*GIT, 'merge-tree', '--write-tree', '--name-only', '--no-messages',
         _commit(repo, _tree(repo, ours), common),
         _commit(repo, _tree(repo, theirs), common)],
        cwd=repo, capture_output=True, text=True, check=False)
    if result.returncode not in (0, 1):
        raise Failure(f'git merge-tree: {result.stderr.strip()}')
    tree, *conflicts = result.stdout.split()
    return Merge(base, ours, theirs, tree, tuple(conflicts))


def _with_files(repo: Path, tree: str, other: str, files: set[str]) -> str:
    """A tree with these files as they are in another one."""
    with tempfile.TemporaryDirectory() as directory:
        environ = {'GIT_INDEX_FILE': f'{directory}/index'}
        git(repo, 'read-tree', tree, **environ)
        for file in sorted(files):
            entry = git(repo, 'ls-tree', other, '--', file)
            if entry:
                mode, _, name = entry.split('\t')[0].split()
                git(repo, 'update-index', '--add', '--cacheinfo', mode, name,
                    file, **environ)
            else:
                git(repo, 'update-index', '--force-remove', file, **environ)
        return git(repo, 'write-tree', **environ).strip()


def _by_file(repo: Path, step: Step, pick: Merge, alone: Merge
             ) -> Merge | None:
    """
    Make a patch that has come to another place, where it meets others.

    Files to which it does the same there as here are taken from the new patch,
    and others from the one that is there.
    """
    here, there = change(repo, step.old), change(repo, step.there)
    resolved = {file for file in here.keys() | there.keys()
                if here.get(file) != there.get(file)}
    was = merge(repo, f'{step.old}^', f'{step.new}^', step.old)
    base = step.old if resolved & set(was.conflicts) else was.tree
    both = merge(repo, base, pick.tree, step.new)
    if resolved & {*pick.conflicts, *both.conflicts} or \
            set(alone.conflicts) - resolved:
        return None
    return replace(alone, alone=False, conflicts=(), tree=_with_files(
        repo, alone.tree, both.tree, resolved))


def _candidates(repo: Path, step: Step, head: str) -> list[Merge]:
    """Ways to make a patch on top of `head`; one that is clean is right, and is
    the last here."""
    if not step.there:
        return [merge(repo, f'{step.new}^', head, step.new)]
    pick = merge(repo, f'{step.there}^', head, step.there)
    if not step.new or not step.old or \
            change(repo, step.old) == change(repo, step.new):
        return [pick]
    if pick.conflicts:
        # That may conflict less, but has nothing of what was resolved in the
        # patch that is there
        alone = replace(merge(repo, f'{step.new}^', head, step.new),
                        alone=True)
        return [_by_file(repo, step, pick, alone) or alone]
    found = []
    # The old patch on what is before the new one
    was = merge(repo, f'{step.old}^', f'{step.new}^', step.old)
    for base in [step.old] if was.conflicts else [was.tree, step.old]:
        found.append(merge(repo, base, pick.tree, step.new))
        if not found[-1].conflicts:
            break
    return found


def _message(repo: Path, plan: Plan, step: Step) -> str:
    """The new one, or what is there if that alone has been changed."""
    def text(commit: str) -> str:
        return git(repo, 'log', '-1', '--format=%B', commit) if commit else ''

    old, new, there = (text(commit) for commit in
                       (step.old, step.new, step.there))
    if not new or there and new == old:
        return there
    if there and there not in (old, new):
        plan.notes.append(f'message of both changed, the new one taken: '
                          f'{step.subject}')
    return new


def _record(repo: Path, plan: Plan, step: Step, tree: str) -> None:
    """Commit the patch that the next step is for."""
    message = _message(repo, plan, step)
    if tree == _tree(repo, plan.head):
        plan.notes.append(f'does nothing there, left out: {step.subject}')
    elif step.there and tree == _tree(repo, step.there) and \
            plan.head == git(repo, 'rev-parse', f'{step.there}^').strip() and \
            message == git(repo, 'log', '-1', '--format=%B', step.there):
        plan.head = step.there
    else:
        of = step.new or step.there
        name, email, date = git(repo, 'log', '-1', '--format=%an%n%ae%n%ad',
                                '--date=raw', of).splitlines()
        plan.head = git(repo, 'commit-tree', tree, '-p', plan.head, '-m',
                        message.strip('\n'), GIT_AUTHOR_NAME=name,
                        GIT_AUTHOR_EMAIL=email, GIT_AUTHOR_DATE=date,
                        **identity(repo)).strip()
    plan.done += 1


def _file(repo: Path) -> Path:
    return repo / '.git' / PLAN


def save(repo: Path, plan: Plan) -> None:
    write_whole(_file(repo), json.dumps(asdict(plan), indent=1))


def load(repo: Path) -> Plan | None:
    if not _file(repo).exists():
        return None
    read = json.loads(_file(repo).read_text())
    read['steps'] = [Step(**step) for step in read['steps']]
    return Plan(**read)


def unmerged(repo: Path) -> list[str]:
    """Files in conflict."""
    return git(repo, 'diff', '--name-only', '--diff-filter=U').split()


def _stop(repo: Path, plan: Plan, step: Step, best: Merge) -> bool:
    """Put a conflict into the work tree; False if git knew how it is
    resolved."""
    ours = _commit(repo, _tree(repo, best.ours), plan.head)
    # What was resolved before this is in the commit already
    git(repo, 'checkout', '--quiet', '--force', '--detach', ours)
    # Its status says that there are conflicts, which is known
    subprocess.run([*GIT, 'merge-recursive', _commit(repo, _tree(repo,
                                                                 best.base)),
                    '--', ours, step.new or step.there], cwd=repo,
                   capture_output=True, check=False)
    subprocess.run([*GIT, *RERERE, 'rerere'], cwd=repo, capture_output=True,
                   check=False)
    plan.stopped = bool(unmerged(repo))
    save(repo, plan)
    return plan.stopped


def _conflict(repo: Path, plan: Plan, step: Step) -> Failure:
    files = unmerged(repo)
    return Failure(
        f"patch {plan.done + 1} of {len(plan.steps)}, '{step.subject}', "
        f'conflicts in {", ".join(files)}: resolve it in {repo}, git add, and '
        'run scripts/series carry --continue (or --abort)')


def go_on(repo: Path, plan: Plan, progress: Callable[[float], None]) -> None:
    """Make all patches that are left.  Failure at a conflict."""
    while plan.done < len(plan.steps):
        progress(plan.done / len(plan.steps))
        step = plan.steps[plan.done]
        found = _candidates(repo, step, plan.head)
        best = min(found, key=lambda one: len(one.conflicts))
        tree = best.tree
        if best.alone:
            plan.notes.append('made from the new patch alone, look whether '
                              f'what was resolved is still there: '
                              f'{step.subject}')
        if best.conflicts:
            if _stop(repo, plan, step, best):
                raise _conflict(repo, plan, step)
            tree = git(repo, 'write-tree').strip()
        _record(repo, plan, step, tree)
    git(repo, 'checkout', '--quiet', '--force', '-B', BRANCH, plan.head)
    _file(repo).unlink(missing_ok=True)


def _take_resolved(repo: Path, plan: Plan) -> None:
    step = plan.steps[plan.done]
    if unmerged(repo):
        raise _conflict(repo, plan, step)
    marked = [name for name in
              git(repo, 'diff', '--name-only', '--cached', 'HEAD').split()
              if (repo / name).exists() and
              re.search(rb'^(<{7}|>{7}) ', (repo / name).read_bytes(), re.M)]
    if marked:
        raise Failure(f'{", ".join(marked)} has conflict markers: resolve '
                      'them, and git add')
    if git(repo, 'diff', '--name-only'):
        raise Failure(f'{repo} has changes that are not in the index: git add '
                      'them')
    subprocess.run([*GIT, *RERERE, 'rerere'], cwd=repo, capture_output=True,
                   check=False)
    plan.stopped = False
    _record(repo, plan, step, git(repo, 'write-tree').strip())
    save(repo, plan)


def resume(repo: Path, progress: Callable[[float], None] = lambda done: None
           ) -> Plan:
    """Take what was resolved in the work tree, and go on."""
    plan = load(repo)
    if not plan:
        raise Failure(f'nothing is being carried to {repo}')
    if plan.stopped:
        _take_resolved(repo, plan)
    go_on(repo, plan, progress)
    return plan


def abort(repo: Path) -> None:
    """Be as before."""
    plan = load(repo)
    if not plan:
        raise Failure(f'nothing is being carried to {repo}')
    subprocess.run([*GIT, *RERERE, 'rerere', 'clear'], cwd=repo,
                   capture_output=True, check=False)
    git(repo, 'checkout', '--quiet', '--force', '-B', BRANCH, plan.start)
    _file(repo).unlink()


def begin(repo: Path, base: str, old: str, new: str, base_there: str,
          progress: Callable[[float], None] = lambda done: None) -> Plan:
    """Carry to the branch that is checked out in `repo`."""
    if load(repo):
        raise Failure(f'{repo} is in the middle of this: run scripts/series '
                      'carry --continue, or --abort')
    start = git(repo, 'rev-parse', 'HEAD').strip()
    plan = Plan(steps(by_subject(repo, base, old), by_subject(repo, base, new),
                      by_subject(repo, base_there, start)),
                start, git(repo, 'rev-parse', base_there).strip())
    go_on(repo, plan, progress)
    return plan
