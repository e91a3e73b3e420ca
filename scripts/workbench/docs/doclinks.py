# SPDX-License-Identifier: GPL-2.0-or-later
"""What the documentation refers to must exist: files, anchors, functions."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ..base.paths import REPO, build_dir

# Where ``directory/file`` may be
QEMU = build_dir() / 'qemu'
ROOTS = {
    REPO: ('configs', 'docs', 'patches', 'scripts', 'tests'),
    QEMU: ('accel', 'backends', 'docs', 'hw', 'include', 'monitor', 'qapi',
           'system', 'target', 'tests'),
}


class Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = set()
        self.feed(path.read_text())

    def handle_starttag(self, tag: str,
                        attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ('href', 'src', 'data') and value and \
                    (tag, name) != ('div', 'data'):
                self.links.add(value)
            elif name == 'id' and value:
                self.anchors.add(value)


def broken_html(directory: Path) -> list[str]:
    """Links between built pages that lead nowhere."""
    pages = {path: Page(path) for path in directory.rglob('*.html')}
    wrong = []
    for path, page in pages.items():
        for link in sorted(page.links):
            url = urlsplit(link)
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() \
                if url.path else path
            if not target.exists():
                wrong.append(f'{path.name}: {link} does not exist')
            elif url.fragment and target in pages and \
                    unquote(url.fragment) not in pages[target].anchors:
                wrong.append(f'{path.name}: {link} has no such place')
    return wrong


def broken_rst(page: Path) -> list[str]:
    """Links to files in a page that is read as it is."""
    return [f'{page.name}: {link} does not exist'
            for link in re.findall(r'<([^<>\s]+)>`_', page.read_text())
            if not urlsplit(link).scheme and
            not (page.parent / link).exists()]


def literals(page: Path) -> set[str]:
    return {re.sub(r'\s+', ' ', text)
            for text in re.findall(r'``(.+?)``', page.read_text(), re.DOTALL)}


def missing_files(page: Path) -> list[str]:
    """Files that a page names and that do not exist."""
    wrong = []
    for name in sorted(literals(page)):
        if not re.fullmatch(r'[\w.-]+(/[\w.-]+)+/?', name):
            continue
        roots = [root for root, tops in ROOTS.items()
                 if name.split('/')[0] in tops]
        if roots and not any((root / name).exists() for root in roots):
            wrong.append(f'{page.name}: {name} does not exist')
    return wrong


def missing_functions(page: Path) -> list[str]:
    """Functions that a page names and that QEMU does not have."""
    names = sorted({name.removesuffix('()') for name in literals(page)
                    if re.fullmatch(r'[a-z]\w+\(\)', name)})
    if not names:
        return []
    found = subprocess.run(
        ['git', 'grep', '--only-matching', '-h', '--word-regexp',
         '--fixed-strings', *(f'-e{name}' for name in names), '--',
         '*.c', '*.h', '*.c.inc'],
        cwd=QEMU, capture_output=True, text=True, check=False).stdout
    return [f'{page.name}: {name}() is not a function of QEMU'
            for name in names if name not in found.split()]
