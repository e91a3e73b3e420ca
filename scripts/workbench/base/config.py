# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of sections, keys and values, whose names are case-sensitive."""

import configparser
from pathlib import Path

from .steps import Failure


def read(text: str, file: Path) -> configparser.ConfigParser:
    """The sections of a file with this text; Failure if it cannot be read."""
    parser = configparser.ConfigParser(
        interpolation=None, delimiters=('=',), comment_prefixes=('#',),
        default_section='', empty_lines_in_values=False)
    parser.optionxform = str        # type: ignore[assignment,method-assign]
    try:
        parser.read_string(text, file.name)
    except configparser.Error as error:
        raise Failure(' '.join(str(error).split())) from error
    return parser
