# SPDX-License-Identifier: GPL-2.0-or-later
"""The series as files: export of a tree's commits, and checks of them."""

import re
import subprocess
import tempfile
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ..base import bases, explained
from ..base.bases import BASES, FIRST
from ..base.paths import (EMULATOR_SERIES, REPO, build_dir, cache_dir, digest,
                          write_whole)
from ..base.steps import Bar, Failure, run, step
from . import qemu, topics
from .carried import tree_name
from .qemu import BASE_TAG, Tree, patches
from .topics import Topic

EXPLAINED = REPO / 'configs' / 'checkpatch-explained.txt'
DIFFERENCES = REPO / 'configs' / 'series-differences.txt'
# No name of a patch, which git am would take it for
COVER = '0000-cover-letter.txt'

# No configuration of the user's, and nothing that another git writes
# differently or that changes where the patch does not
FORMAT_PATCH = (
    'format-patch', '--no-signature', '--zero-commit', '--no-renames',
    # With the names of files' contents git am --3way can merge
    '--full-index',
    '--diff-algorithm=myers', '--indent-heuristic', '--unified=3', '--stat=72',
    '--no-cover-letter', '--no-thread', '--no-attach',
    '--no-base', '--no-color', '--src-prefix=a/', '--dst-prefix=b/', '--quiet')


def normalize(text: str) -> str:
    """Take out of a patch what changes when the patch does not."""
    header, body = text.split('\n\n', 1)
    header = re.sub(r'^Date: .*\n', '', header, flags=re.M)
    return f'{header}\n\n{body}'


def format_patch(tree: Tree, topic: Topic, target: Path, *options: str,
                 **environ: str) -> None:
    qemu.git(tree.path, *options, f'--output-directory={target}',
             f'{topic.base}..{topic.head}', GIT_CONFIG_GLOBAL='/dev/null',
             GIT_CONFIG_SYSTEM='/dev/null', GIT_CONFIG_NOSYSTEM='1', **environ)


def export_cover(tree: Tree, topic: Topic, target: Path) -> None:
    """Write a cover letter: the text, the patches, what they change."""
    name, email = qemu.git(tree.path, 'log', '-1', '--format=%an%n%ae'
                           ).splitlines()
    title, blurb = topics.cover_text(tree, topic).split('\n\n', 1)
    with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
        format_patch(
            tree, topic, Path(directory), *FORMAT_PATCH, '--numbered',
            '--cover-letter', '--cover-from-description=none',
            GIT_COMMITTER_NAME=name, GIT_COMMITTER_EMAIL=email)
        letter, = Path(directory).glob('0000-*')
        (target / COVER).write_text(
            normalize(letter.read_text())
            .replace('*** SUBJECT HERE ***', title)
            .replace('*** BLURB HERE ***', blurb.rstrip()))


def export(tree: Tree, target: Path) -> list[Path]:
    """Write the tree's commits to `target`; returns the patches."""
    merges = qemu.git(tree.path, 'rev-list', '--merges', f'{BASE_TAG}..')
    if merges:
        raise Failure(f'{tree.path} has merge commits: run git rebase '
                      f'{BASE_TAG} to remove them')
    subjects = qemu.git(tree.path, 'log', '--format=%s', f'{BASE_TAG}..')
    for subject in subjects.splitlines():
        if re.match(r'(fixup|squash|amend)! ', subject):
            raise Failure(f"{tree.path} has '{subject}': run git rebase "
                          f'--interactive --autosquash {BASE_TAG}')
    for topic in topics.cut(tree):
        # A topic is sent as it is there; without one, a patch more would
        # change all others
        numbered = '--numbered' if topic.letter else '--no-numbered'
        format_patch(tree, topic, target / topic.name, *FORMAT_PATCH, numbered)
        if topic.letter:
            export_cover(tree, topic, target / topic.name)
    files = patches(target)
    for file in files:
        file.write_bytes(normalize(file.read_bytes().decode('utf-8',
                                                            'surrogateescape')
                                   ).encode('utf-8', 'surrogateescape'))
    return files


def exported(directory: Path) -> dict[Path, bytes]:
    """Patches and cover letters, by their names in the directory."""
    return {file.relative_to(directory): file.read_bytes()
            for file in [*patches(directory), *directory.rglob(COVER)]}


def write_export(tree: Tree) -> int:
    """Make patches/ say what the tree's commits say; returns how many."""
    with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
        files = export(tree, Path(directory))
        wanted = exported(Path(directory))
    for name in exported(tree.series).keys() - wanted.keys():
        (tree.series / name).unlink()
    for name, content in wanted.items():
        (tree.series / name).parent.mkdir(parents=True, exist_ok=True)
        (tree.series / name).write_bytes(content)
    for path in tree.series.iterdir():
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    if tree.series == tree.base.series:
        tree.base.exported.write_text(tree.version() + '\n')
        if tree.carried_file.exists():
            tree.base.carried.write_bytes(tree.carried_file.read_bytes())
    tree.remember()
    return len(files)


def check_places(tree: Tree) -> None:
    """
    Failure if the next patches do not apply exactly where they say.

    Only asked of the version that the series was exported against: a later
    10.0.x moves lines.
    """
    if tree.version() != tree.base.exported.read_text().strip():
        print(f'  QEMU {tree.version()} is not the version against which the '
              'series was exported: offsets are accepted')
        return
    for patch in patches(tree.series):
        said = subprocess.run(['git', 'apply', '--index', '--verbose', patch],
                              cwd=tree.path, capture_output=True, text=True,
                              check=False)
        text = said.stderr + said.stdout
        if said.returncode or re.search(r'\(offset |with fuzz', text):
            raise Failure(f'{patch.name} does not apply exactly: '
                          f'{text.strip()}')
    qemu.git(tree.path, 'reset', '--quiet', '--hard')


def without_places(patch: bytes) -> bytes:
    """A patch without the line numbers of its hunks, and without names of
    what is in its files."""
    patch = re.sub(rb'^index [0-9a-f]{40}\.\.[0-9a-f]{40}', b'index', patch,
                   flags=re.M)
    return re.sub(rb'^@@ -[\d,]+ \+[\d,]+ @@.*', b'@@', patch, flags=re.M)


def check_same(tree: Tree) -> None:
    """
    Failure unless exporting what was applied gives what is committed.

    On another version than the series was exported against, hunks may be in
    other lines.
    """
    other = tree.version() != tree.base.exported.read_text().strip()
    with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
        export(tree, Path(directory))
        made = exported(Path(directory))
    committed = exported(tree.series)
    for name in sorted(made.keys() | committed.keys()):
        one, two = made.get(name, b''), committed.get(name, b'')
        if other:
            one, two = without_places(one), without_places(two)
        if one != two:
            raise Failure(f'{name} differs from the output of scripts/series '
                          'export: export again and commit the result')


@dataclass(frozen=True)
class Explanation:
    """One finding of checkpatch.pl that is right to be left."""
    patch: str          # part of the patch's name
    finding: str        # part of the finding's text


def explanations() -> list[Explanation]:
    return [Explanation(patch, finding)
            for patch, finding, _ in explained.read(EXPLAINED)]


def findings(tree: Tree, patch: Path) -> list[str]:
    """
    What QEMU's checkpatch.pl finds in a patch, each with the line.

    It is not asked again about a patch that has not changed.
    """
    program = tree.path / 'scripts' / 'checkpatch.pl'
    known = cache_dir() / 'checkpatch' / digest([program, patch])
    if not known.exists():
        said = subprocess.run(
            [program, '--terse', '--no-summary', patch], cwd=tree.path,
            capture_output=True, text=True, check=False)
        found = [line.replace(f'{patch}:', '')
                 for line in said.stdout.splitlines()
                 if re.search(r'(ERROR|WARNING): ', line)]
        # 1 is for a patch in which an error was found
        if said.returncode not in (0, 1) or said.returncode and not found:
            raise Failure(f'checkpatch.pl, {patch.name}: {said.stderr.strip()}')
        write_whole(known, '\n'.join(found))
    return known.read_text().splitlines()


def subject(patch: Path) -> str:
    """What a patch is called in git."""
    found = re.search(r'^Subject: \[PATCH[ \d/]*\] (.*(?:\n .*)*)',
                      patch.read_text(errors='replace'), flags=re.M)
    return found[1].replace('\n', '') if found else ''


def all_patches() -> list[Path]:
    return [patch for directory in
            [*(base.series for base in BASES.values()), EMULATOR_SERIES]
            for patch in patches(directory)]


def check_pairs() -> None:
    """Failure if one base has a patch, and another one has not."""
    titles = {base.version: [subject(patch) for patch in patches(base.series)]
              for base in BASES.values()}
    everything = dict.fromkeys(one for found in titles.values()
                               for one in found)
    known = {(version, title)
             for version, title, _ in explained.read(DIFFERENCES)}
    only = {(version, title) for title in everything
            for version, found in titles.items()
            if title in found and
            any(title not in other for other in titles.values())}
    wrong = [f"'{title}' is for QEMU {version} only" for version, title in
             sorted(only - known)]
    wrong += [f"'{title}' is not for QEMU {version} only any more"
              for version, title in sorted(known - only)]
    if wrong:
        raise Failure(f'correct {DIFFERENCES.name}, or carry the patch: '
                      f'{"; ".join(wrong)}')


def check_carried() -> None:
    """Failure if a change of the first base has not come to the others."""
    now = tree_name(FIRST.series)
    behind = [base.version for base in BASES.values() if base != FIRST and
              base.carried.read_text().strip() != now]
    if behind:
        raise Failure(
            f'the series for QEMU {FIRST.version} has changed since it was '
            f'carried to that for {", ".join(behind)}: run scripts/series '
            'carry --base, then export --base')


def check_style(trees: list[Tree]) -> None:
    """Failure if their checkpatch.pl finds what is not explained."""
    known = explanations()
    used: set[Explanation] = set()
    wrong = []
    for tree, patch in ((tree, patch) for tree in trees
                        for patch in patches(tree.series)):
        for line in findings(tree, patch):
            matching = [one for one in known if one.patch in patch.name and
                        one.finding in line]
            used.update(matching)
            if not matching:
                wrong.append(f'{patch.name}:{line}')
    wrong += [f'explained, but not found any more: {one.patch} | {one.finding}'
              for one in known if one not in used]
    if wrong:
        raise Failure('checkpatch.pl:\n' + '\n'.join(wrong))


def check_messages() -> None:
    """Failure for a patch without a sign-off or with a title too long."""
    for patch in all_patches():
        text = patch.read_text(errors='replace')
        if not re.search(r'^Signed-off-by: .+ <.+>$', text, flags=re.M):
            raise Failure(f'{patch.name} has no Signed-off-by: use git commit '
                          '-s')
        title = subject(patch)
        if not re.match(r'[\w/.*-]+: ', title):
            raise Failure(f"{patch.name}: the subject is not 'subsystem: ...'")
        if len(title) > 76:
            raise Failure(f'{patch.name}: the subject has more than 76 '
                          'characters')


def check_applied(tree: Tree) -> None:
    """Make a tree, and look how its series applies."""
    name = tree.series.name
    step(f'Unpack QEMU for {name}', lambda bar: tree.create(bar, []))
    step('Every patch applies exactly', lambda bar: check_places(tree))
    step('git am applies them',
         lambda bar: tree.am(bar, patches(tree.series)))
    step('The export is committed', lambda bar: check_same(tree))


def check() -> None:
    """All that can be said of the series without building them."""
    own = bases.current()
    with tempfile.TemporaryDirectory(dir=build_dir()) as directory:
        trees = [Tree(Path(directory) / 'emulator', series=EMULATOR_SERIES),
                 *(Tree(Path(directory) / base.version,
                        qemu.source() if base == own else None, base=base)
                   for base in BASES.values())]
        for tree in trees:
            check_applied(tree)
        step('Each base has the same patches', lambda bar: check_pairs())
        step('Nothing is to be carried', lambda bar: check_carried())
        step('Subjects and sign-offs are right', lambda bar: check_messages())
        step('All findings of checkpatch.pl are explained',
             lambda bar: check_style(trees))


def bisect(wanted: str = '') -> None:
    """
    Build every prefix of the series and run its tests.

    Each patch of a topic must pass the tests that the topic has so far, and the
    last one all tests of the series so far, and QEMU's own.  It goes on after a
    prefix that fails, which hides nothing of the later ones.  `wanted` begins the
    name of the only topic that is looked at; others are only applied.
    """
    directory = qemu.place('bisect')
    tree = Tree(directory, qemu.source())
    step('Unpack QEMU', lambda bar: tree.create(bar, []))
    done = cache_dir() / 'bisect'
    done.mkdir(exist_ok=True)
    failed = []
    so_far: list[str | Path] = [tree.head(), qemu.OPTIONS]
    for name, topic in groupby(patches(), lambda patch: patch.parent.name):
        begin = tree.head()
        if not name.startswith(wanted):
            so_far += (before := list(topic))
            step(f'Apply {name[:48]}', lambda bar: tree.am(bar, before))
            continue
        rest = list(topic)
        while rest:
            patch = rest.pop(0)
            so_far.append(patch)
            step(f'Apply {patch.name[:48]}', lambda bar: tree.am(bar, [patch]))
            mark = done / digest(so_far)
            if mark.exists():
                print('  was built and tested before')
                continue
            names = (qemu.series_tests(tree, begin) if rest else
                     qemu.series_tests(tree) + qemu.existing_tests())
            try:
                build_and_test(tree, names)
                mark.touch()
            except Failure as failure:
                print(f'  {patch.name}: {failure}', flush=True)
                failed.append(f'{name}/{patch.name}')
    if failed:
        raise Failure('the series does not build, or does not pass its tests, '
                      f'as far as {", ".join(failed)}')


def build_and_test(tree: Tree, names: list[str]) -> None:
    """Build QEMU and these tests, and run them."""
    build = tree.path / 'build'
    # Most of the time is the compiler's, and nothing is measured or debugged
    qemu.configure(tree.path, build, '-Doptimization=0', '--disable-debug-info')
    qemu.compile_targets(tree.path, build, *qemu.targets(tree, build, names),
                         title='  Build')
    if found := present(build, names):
        run(f'  Test {len(found)} programs', [
            build / 'pyvenv/bin/meson', 'test', '--no-rebuild',
            '--print-errorlogs', *found], cwd=build, log='bisect-test')


def present(build: Path, names: list[str]) -> list[str]:
    """Full names of the tests of QEMU's build that are called one of these."""
    listing = subprocess.run([build / 'pyvenv/bin/meson', 'test', '--list'],
                             cwd=build, check=True, capture_output=True,
                             text=True).stdout
    found = [line.split(' / ')[-1].strip() for line in listing.splitlines()]
    return [name for name in found if name.split('/')[-1] in names]


def apply(tree: Tree, force: bool) -> Tree:
    """Make a tree anew; work that is not exported is kept unless forced."""
    if tree.state_file.exists() and tree.has_unexported_work() and not force:
        raise Failure(f'{tree.path} has commits that are not in patches/: run '
                      'scripts/series export first, or apply --force')

    def body(bar: Bar) -> None:
        tree.create(bar, patches(tree.series))

    step(f'Apply {len(patches(tree.series))} patches to a fresh tree', body)
    return tree
