# SPDX-License-Identifier: GPL-2.0-or-later
"""
The commands in scripts/.

"scripts/check guest" runs body() of workbench/commands/check_guest.py, and
"scripts/with-kvm" that of with_kvm.py.  A command imports nothing of another,
so a test depends only on what it runs itself.
"""

import argparse
import ast
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from .bases import BASES
from .paths import BASE_VARIABLE
from .steps import main

COMMANDS = Path(__file__).parents[1] / 'commands'


def module(words: Sequence[str]) -> str:
    """The module for a command that begins with these words."""
    name = words[0].replace('-', '_')
    part = '_'.join([name, *words[1:2]])
    return part if (COMMANDS / f'{part}.py').exists() else name


def subcommands(name: str) -> dict[str, str]:
    """A command's subcommands, and the first line of what each says."""
    prefix = name.replace('-', '_') + '_'
    return {path.stem.removeprefix(prefix):
            (ast.get_docstring(ast.parse(path.read_text())) or '')
            .partition('\n')[0]
            for path in sorted(COMMANDS.glob(f'{prefix}*.py'))}


class _SetBase(argparse.Action):
    """All that is called later is to know it, and scripts of ours too."""

    def __call__(self, parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace,
                 values: str | Sequence[str] | None,
                 option_string: str | None = None) -> None:
        os.environ[BASE_VARIABLE] = str(values)


def new_parser(description: str | None, *, example: str,
               usage: str | None = None, subcommand_needed: bool = False
               ) -> argparse.ArgumentParser:
    """
    What every command begins with: --help with an example, and --base.

    The parser of a command that has subcommands sees none that comes first:
    that one has a parser of its own.
    """
    known = subcommands(Path(sys.argv[0]).name)

    def refuse(word: str) -> str:
        raise argparse.ArgumentTypeError(
            f'{word} must come first' if word in known else
            f'there is no {word}, use one of {", ".join(known)}')

    epilog = f'example: {example}'
    if known:
        width = max(map(len, known))
        listed = '\n'.join(f'  {word:<{width}}  {line}'
                           for word, line in known.items())
        epilog = f'subcommands, each with its own --help:\n{listed}\n\n{epilog}'
    made = argparse.ArgumentParser(
        description=description, epilog=epilog, usage=usage,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument('--base', action=_SetBase, choices=tuple(BASES),
                      default=argparse.SUPPRESS,
                      help='the QEMU that the series is on (default: what the '
                      f'build directory has, or ${BASE_VARIABLE}, or '
                      f'{next(iter(BASES))})')
    if known:
        made.add_argument('subcommand', type=refuse, metavar='SUBCOMMAND',
                          nargs=None if subcommand_needed else '?',
                          help='see below')
    return made


def run(name: str) -> None:
    """Be this command of scripts/."""
    words = [name, *sys.argv[1:]]
    found = module(words)
    count = 1 if found == module([name]) else 2
    sys.argv = [' '.join(words[:count]), *words[count:]]
    main(import_module(f'workbench.commands.{found}').body)
