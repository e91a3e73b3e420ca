# SPDX-License-Identifier: GPL-2.0-or-later
"""Build the documentation, and check what it says."""

import shutil
from collections.abc import Callable

from ..base.paths import REPO, build_dir
from ..base.steps import Bar, Failure, run, step
from . import doccommands, doclinks

# Build all pages: Sphinx prints no warnings for a page that has not changed
SPHINX = ['/usr/bin/sphinx-build', '-E', '-a', '-n', '-W', '--keep-going',
          '-b', 'html']


def check_references() -> list[str]:
    """References of the pages to things that do not exist."""
    wrong = doclinks.broken_html(build_dir() / 'docs')
    wrong += doclinks.broken_rst(REPO / 'README.rst')
    for page in doccommands.PAGES:
        wrong += doclinks.missing_files(page)
        wrong += doclinks.missing_functions(page)
    return wrong


def check_blocks() -> list[str]:
    """Commands that no test runs."""
    wrong: list[str] = []
    for page in doccommands.PAGES:
        for block in doccommands.blocks(page, wrong):
            if block.kind in ('covered-by', 'never'):
                wrong += doccommands.check_block(block)
        wrong += doccommands.check_text(page)
    return wrong


def check(title: str, find: Callable[[], list[str]]) -> bool:
    """Show the findings as a step; True if there are none."""
    wrong: list[str] = []

    def body(_: Bar) -> None:
        wrong.extend(find())
        if wrong:
            raise Failure('\n'.join(wrong))

    try:
        step(title, body)
    except Failure as failure:
        print(failure)
    return not wrong


def build() -> None:
    output = build_dir() / 'docs'
    shutil.rmtree(output, ignore_errors=True)
    run('Build the documentation',
        [*SPHINX, '-d', build_dir() / 'docs-doctrees', REPO / 'docs', output],
        log='docs')
    print(f'{output}/index.html')


def check_pages() -> bool:
    """What is built; True if nothing is wrong."""
    good = check('Links, files and functions exist', check_references)
    return check('Each command is run by a test', check_blocks) and good


def check_commands() -> bool:
    """The commands for this machine; True if nothing is wrong."""
    good = True
    for page, blocks in doccommands.find_blocks(('host',)).items():
        good &= check(f'Commands of {page}',
                      lambda: doccommands.run_page(blocks, lambda _: None))
    return good
