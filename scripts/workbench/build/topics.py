# SPDX-License-Identifier: GPL-2.0-or-later
"""The topics that the series is cut into, which are small series themselves.

Each file of patches/topics/ is a topic: "Begins with:" and the subject of its
first patch, a blank line, and its cover letter.  The patches from that one on,
up to the next topic's first one, go to a directory of the same name.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from ..base import bases
from ..base.steps import Failure
from .carry import by_subject
from .qemu import BASE_TAG, Tree

BEGINS = 'Begins with: '


@dataclass(frozen=True)
class Topic:
    """A topic, and its commits in a tree: those after `base`, up to `head`."""
    name: str = '.'
    letter: str = ''
    begins: str = ''
    base: str = BASE_TAG
    head: str = 'HEAD'
    needs: str = ''         # the topic before


def _read(file: Path) -> Topic:
    first, _, letter = file.read_text().partition('\n\n')
    if not first.startswith(BEGINS) or not letter:
        raise Failure(f"{file.name}: this is not '{BEGINS}SUBJECT', a blank "
                      'line, and a cover letter')
    return Topic(file.stem, letter, first.removeprefix(BEGINS))


def read() -> list[Topic]:
    """All topics, in order."""
    return [_read(file) for file in
            sorted((bases.PATCHES / 'topics').glob('[0-9]*.txt'))]


def cut(tree: Tree) -> list[Topic]:
    """
    The topics of a tree's commits.

    A series for no base of QEMU, as that of the emulated machine, is one.
    """
    topics = read() if tree.series == tree.base.series else []
    if not topics:
        return [Topic()]
    commits = by_subject(tree.path, BASE_TAG, 'HEAD')
    missing = [topic for topic in topics if topic.begins not in commits]
    if missing:
        raise Failure(f"no commit is '{missing[0].begins}', with which "
                      f'{missing[0].name}.txt begins: correct that')
    subjects, hashes = list(commits), list(commits.values())
    places = [subjects.index(topic.begins) for topic in topics]
    if places != sorted(set(places)) or places[0]:
        raise Failure('the commits with which topics begin are not in the '
                      'order of patches/topics/, or the first one is not the '
                      'first commit')
    heads = [hashes[place - 1] for place in [*places[1:], len(hashes)]]
    return [replace(topic, base=base, head=head, needs=before)
            for topic, base, head, before in zip(
                topics, [BASE_TAG, *heads], heads,
                ['', *(topic.name for topic in topics)])]


def cover_text(tree: Tree, topic: Topic) -> str:
    """The letter, and where its patches apply."""
    after = f', after topic {topic.needs}' if topic.needs else ''
    return f'{topic.letter.rstrip()}\n\nBase: QEMU {tree.version()}{after}\n'
