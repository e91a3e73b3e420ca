# SPDX-License-Identifier: GPL-2.0-or-later
"""Lists of exceptions, each with its reason: "what | which | why" in a line."""

from pathlib import Path

from .steps import Failure


def read(path: Path) -> list[tuple[str, str, str]]:
    """The lines that are no comments.  Failure if one has no reason."""
    found = []
    for line in path.read_text().splitlines():
        if line and not line.startswith('#'):
            what, which, why = (part.strip() for part in line.split('|'))
            if not why:
                raise Failure(f'{path.name}: this line has no reason, add '
                              f'one after the second "|": {line}')
            found.append((what, which, why))
    return found
