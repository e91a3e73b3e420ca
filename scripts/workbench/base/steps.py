# SPDX-License-Identifier: GPL-2.0-or-later
"""
One line per step, with elapsed time, and a bar on what takes long.

Output of the commands goes to log files; when one fails, the end of its log is
shown with the file's name.
"""

import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from .paths import build_dir

LINES_ON_FAILURE = 25
SECONDS_BETWEEN_LINES = 30      # where there is no terminal to draw a bar on

T = TypeVar('T')

# From a line of a command's output to how far it is, 0 to 1, or None
Progress = Callable[[str], float | None]


class Failure(Exception):
    """What is missing, on what, and what to do: one line for the user."""


def ninja_progress(line: str) -> float | None:
    """Ninja says [done/all] with each step."""
    match = re.match(r'\[(\d+)/(\d+)\]', line)
    return int(match[1]) / int(match[2]) if match else None


def counted_progress(expected: int, pattern: str) -> Progress:
    """For a tool that does not say how much there is to do: count lines."""
    done = 0

    def progress(line: str) -> float | None:
        nonlocal done
        if re.match(pattern, line):
            done += 1
        return min(done / expected, 0.99)

    return progress


class Bar:
    """The line of a step while it runs."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.start = time.monotonic()
        self.drawn = 0.0
        self.tty = sys.stdout.isatty()
        self.draw(None)

    def elapsed(self) -> str:
        return f'{time.monotonic() - self.start:.0f} s'

    def draw(self, done: float | None) -> None:
        now = time.monotonic()
        wait = 0.1 if self.tty else SECONDS_BETWEEN_LINES
        if self.drawn and now - self.drawn < wait:
            return
        percent = '' if done is None else f' {done:4.0%}'
        if self.tty:
            room = shutil.get_terminal_size().columns - len(self.title) - 24
            bar = ''
            if done is not None and room > 10:
                width = min(room, 40)
                bar = ('#' * int(done * width)).ljust(width, '.')
                bar = f' [{bar}]'
            print(f'\r\033[K{self.title}{bar}{percent} {self.elapsed()}',
                  end='', flush=True)
        elif self.drawn:
            print(f'  ... {self.title}{percent} {self.elapsed()}', flush=True)
        self.drawn = now

    def end(self, how: str) -> None:
        clear = '\r\033[K' if self.tty else ''
        print(f'{clear}{self.title:<58} {how:<6} {self.elapsed():>6}',
              flush=True)


def step(title: str, body: Callable[[Bar], T]) -> T:
    """Run `body` as a step of its own, with its line; what it returns."""
    bar = Bar(title)
    try:
        result = body(bar)
    except BaseException:
        bar.end('FAILED')
        raise
    bar.end('ok')
    return result


def run(title: str, command: Sequence[str | Path], *, log: str,
        progress: Progress | None = None, cwd: Path | None = None,
        env: Mapping[str, str] | None = None) -> None:
    """
    Run `command` as a step with its output in build/logs/`log`.log.

    Raises Failure, after showing the end of the log, if it does not exit 0.
    """
    def body(bar: Bar) -> None:
        run_logged(command, bar, log=log, progress=progress, cwd=cwd, env=env)

    step(title, body)


def run_logged(command: Sequence[str | Path], bar: Bar, *, log: str,
               progress: Progress | None = None, cwd: Path | None = None,
               env: Mapping[str, str] | None = None) -> None:
    """What run() does, as a part of a step that has begun."""
    path = build_dir() / 'logs' / f'{log}.log'
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open('w', encoding='utf-8') as output:
        with subprocess.Popen(command, cwd=cwd, env=env, text=True,
                              stdin=subprocess.DEVNULL, errors='replace',
                              stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT) as process:
            assert process.stdout
            for line in process.stdout:
                output.write(line)
                bar.draw(progress(line) if progress else None)
        output.flush()
    if process.returncode:
        clear = '\r\033[K' if bar.tty else ''
        tail = path.read_text(errors='replace').splitlines()
        print(clear + '\n'.join(tail[-LINES_ON_FAILURE:]), file=sys.stderr)
        raise Failure(f'{bar.title}: exit status {process.returncode}, '
                      f'see the whole output in {path}')


def main(body: Callable[[], int | None]) -> None:
    """Run a command's main function; errors are one line, exit status 1."""
    try:
        sys.exit(body())
    except Failure as failure:
        print(f'{Path(sys.argv[0]).name}: {failure}', file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        # A full disk most of all
        print(f'{Path(sys.argv[0]).name}: {error}', file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
