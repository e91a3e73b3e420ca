# SPDX-License-Identifier: GPL-2.0-or-later
"""Commands of the documentation in the tests that run them."""

import ast
import re
import shlex
from collections.abc import Mapping
from pathlib import Path


def documented(command: str,
               replaced: Mapping[str, str | Path] | None = None) -> str:
    """
    A command as a page of the documentation has it, for a shell, with other
    values for some words where the test needs them.

    scripts/check docs compares the command to the page's, which says
    covered-by and the test's file; so it has to be written out here.
    """
    for word, value in (replaced or {}).items():
        command, count = re.subn(
            rf'(?<!\S){re.escape(word)}(?!\S)',
            lambda _, value=value: shlex.quote(str(value)), command)
        if not count:
            raise ValueError(f'{command!r} has no {word!r}')
    return command


def commands_of(test: Path) -> list[str]:
    """What a file of tests calls documented() with."""
    return [node.args[0].value for node in ast.walk(ast.parse(test.read_text()))
            if isinstance(node, ast.Call) and
            isinstance(node.func, ast.Name) and
            node.func.id == documented.__name__ and node.args and
            isinstance(node.args[0], ast.Constant)]
