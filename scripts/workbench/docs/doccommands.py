# SPDX-License-Identifier: GPL-2.0-or-later
"""
Commands in the documentation, and the tests that run them.

A command is in a block like a session in a terminal.  The comment in front of
the block names the test that runs it:

    .. run: host

    .. code-block:: console

       $ command that may go on \\
             in the next line
       what it prints, where ... is anything
       $ echo $?
       1
       $ program with a monitor
       (qemu) command for the monitor
       what the monitor prints
       (qemu) quit
       $ program with QMP on standard input and output
       -> {"execute": "command"}
       <- {"return": "..."}

host        scripts/check docs commands, on this machine
kvm         tests/avocado/docs.py, on a KVM that has private memory
covered-by TEST
            a test of tests/meson.build that is this command; or a script that
            has it in a line; or a page on which it is run; or a file of tests
            that runs it, see documented.py
never, WHY  no test, because it takes too long; but the options are checked

One shell for each kind runs the commands of a page in order.  A command must
succeed unless the next one is "echo $?".  A command that ends in "&" must print
the output that is shown before the next one is run.  An answer of QMP may have
more members than are shown, and "..." is any value.  The guest runs meanwhile,
so a query is repeated until the answer is the one that is shown.
"""

import json
import os
import re
import shlex
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import dropwhile
from pathlib import Path
from typing import TextIO

from ..base.paths import REPO, build_dir
from ..base.steps import Failure
from .documented import commands_of

PAGES = [REPO / 'README.rst', *sorted((REPO / 'docs').glob('*.rst'))]
KINDS = ('host', 'kvm', 'covered-by', 'never')
PROMPTS = ('$ ', '(qemu) ', '-> ')
LANGUAGES = ('c', 'console', 'ini', 'json', 'none', 'text', 'xml')
LIMIT = 600             # seconds, for one command
# virsh says so now and then, when it has done all that it should
VIRSH_NOISE = ('error: One or more references were leaked after disconnect '
               'from the hypervisor\n')
QEMU = 'build/bin/qemu-system-x86_64'


@dataclass
class Command:
    text: str
    prompt: str
    output: list[str] = field(default_factory=list)

    def matches(self, output: str, whole: bool = True) -> bool:
        """Whether it may have printed this; or this as the beginning."""
        lines = ''.join(
            r'(?:.*\n)*?' if line.strip() == '...' else
            '.*?'.join(map(re.escape, line.split('...'))) + r'[ \t]*\n'
            for line in self.output)
        match = re.fullmatch if whole else re.match
        return not self.output or bool(match(lines, output.strip('\n') + '\n'))


@dataclass
class Block:
    """A session in a page."""
    where: str
    kind: str
    detail: str
    commands: list[Command]


def holds(actual: object, shown: object) -> bool:
    """Whether an answer of QMP has in it what is shown."""
    if isinstance(shown, dict) and isinstance(actual, dict):
        return all(key in actual and holds(actual[key], value)
                   for key, value in shown.items())
    if isinstance(shown, list) and isinstance(actual, list):
        return len(shown) == len(actual) and all(map(holds, actual, shown))
    return shown in ('...', actual)


def session(lines: list[str]) -> Iterator[Command]:
    """The commands in a block's lines."""
    command: Command | None = None
    for line in lines:
        prompt = next((p for p in PROMPTS if line.startswith(p)), None)
        if prompt:
            if command:
                yield command
            command = Command(line.removeprefix(prompt), prompt)
        elif command and not command.output and (
                command.text.endswith('\\') or
                command.prompt == '-> ' and not line.startswith('<- ')):
            command.text += f'\n{line}'
        elif command:
            command.output.append(line)
    if command:
        yield command


def blocks(page: Path, wrong: list[str]) -> Iterator[Block]:
    """All of a page's commands; what is not as described is added to
    `wrong`."""
    lines = page.read_text().splitlines()
    comment = ''
    for number, line in enumerate(lines):
        where = f'{page.relative_to(REPO)}:{number + 1}'
        indent = len(line) - len(line.lstrip())
        if re.match(r'\s*\.\. run:', line):
            comment = line.split(':', 1)[1].strip()
            continue
        if line.endswith('::') and not line.lstrip().startswith('..'):
            wrong.append(f'{where}: use ".. code-block:: LANGUAGE", not "::", '
                         'so that commands are recognised')
        language = re.match(r'\s*\.\. code-block::\s*(\S*)', line)
        if not language:
            comment = comment if not line.strip() else ''
            continue
        if language[1] not in LANGUAGES:
            wrong.append(f'{where}: language {language[1]!r} is not one of '
                         f'{", ".join(LANGUAGES)}')
        if language[1] != 'console':
            continue
        body = []
        for text in lines[number + 1:]:
            if text.strip() and len(text) - len(text.lstrip()) <= indent:
                break
            body.append(text)
        margin = min((len(text) - len(text.lstrip())
                      for text in body if text.strip()), default=0)
        while body and not body[-1].strip():
            body.pop()
        commands = list(session([text[margin:] for text in body]))
        kind, _, detail = comment.partition(' ')
        kind = kind.rstrip(',')
        comment = ''
        if not commands:
            wrong.append(f'{where}: a console block without a command')
        elif kind not in KINDS:
            wrong.append(f'{where}: no test runs these commands: put a '
                         'comment ".. run: KIND" in front')
        else:
            yield Block(where, kind, detail, commands)


def argv(command: str) -> list[str]:
    """A command's words, without a comment or the shell's own exec."""
    words = shlex.split(command, comments=True)
    return words[1:] if words[:1] == ['exec'] else words


def covering(name: str) -> list[list[str]] | None:
    """Commands that the test of this name runs; None if there is none."""
    path = REPO / name
    if path in PAGES:
        return [argv(command.text) for block in blocks(path, [])
                if block.kind in ('host', 'kvm') for command in block.commands]
    if path.suffix == '.py' and path.is_file():
        return [argv(command) for command in commands_of(path)]
    if path.is_file():
        return [argv(line) for line in path.read_text().splitlines()]
    tests = json.loads((build_dir() / 'meson-info' / 'intro-tests.json')
                       .read_text())
    commands = [[os.path.normpath(word).removeprefix(f'{REPO}/')
                 if word.startswith('/') else word for word in test['cmd']]
                for test in tests if test['name'] == name]
    # In front of ours there may be a program that runs it
    return [list(dropwhile(lambda word: not word.startswith('scripts/'),
                           command)) for command in commands] or None


@cache
def help_of_program(*words: str) -> str:
    result = subprocess.run([*words, '--help'], cwd=REPO, capture_output=True,
                            text=True, check=False)
    return result.stdout if result.returncode == 0 else ''


def help_of(command: str) -> str:
    """What a command of ours, or the subcommand that is meant, says of itself;
    '' if there is no such thing."""
    words = argv(command)
    if not words[0].startswith('scripts/') or not (REPO / words[0]).exists():
        return ''
    return help_of_program(*words[:2 if words[1:] and words[1].isalpha()
                                  else 1])


def check_options(where: str, command: str) -> list[str]:
    """Options of a command of ours that its program does not have."""
    options = help_of(command)
    if not options:
        return [f'{where}: {command!r} is not a command in scripts/']
    return [f'{where}: --help does not have {word!r} of {command!r}'
            for word in argv(command) if word.startswith('-')
            and word.partition('=')[0] not in options]


def check_block(block: Block) -> list[str]:
    """What is wrong with a block that is not run."""
    if block.kind == 'never':
        if not block.detail:
            return [f'{block.where}: say after "never," why it is never run']
        return [wrong for command in block.commands
                for wrong in check_options(block.where, command.text)]
    run = covering(block.detail)
    if run is None:
        return [f'{block.where}: there is no test {block.detail!r}']
    return [f'{block.where}: {block.detail} does not run {command.text!r}'
            for command in block.commands if argv(command.text) not in run]


def check_text(page: Path) -> list[str]:
    """Commands of ours in running text must exist."""
    wrong = []
    for text in re.findall(r'``(scripts/[\w-]+\s.+?)``', page.read_text(),
                           flags=re.DOTALL):
        wrong += check_options(page.name, text)
    return wrong


def find_blocks(kinds: tuple[str, ...]) -> dict[str, list[Block]]:
    """Blocks of these kinds, by page."""
    found = {page.stem: [block for block in blocks(page, [])
                         if block.kind in kinds] for page in PAGES}
    return {page: these for page, these in found.items() if these}


def printable(output: str) -> str:
    """Without what moves a terminal's cursor."""
    return re.sub(r'\x1b\[[0-9;]*[A-Za-z]', '', output).replace('\r', '')


class Shell:
    """Runs the commands of a page as if they were typed."""

    def __init__(self, log: Callable[[str], object]) -> None:
        self.log = log
        self.directory = tempfile.TemporaryDirectory(prefix='docs-')
        self.status = '0'
        self.count = 0
        self.bash = subprocess.Popen(
            ['bash', '--norc', '--noprofile'], cwd=REPO, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, 'QMP_BUILD_DIR': str(build_dir())})
        assert self.bash.stdout
        os.set_blocking(self.bash.stdout.fileno(), False)

    def close(self) -> None:
        """End what is left of the session."""
        try:
            os.killpg(self.bash.pid, 15)
        except ProcessLookupError:
            pass
        self.bash.communicate()
        self.directory.cleanup()

    def _wait(self, condition: Callable[[], bool], what: str,
              output: Callable[[], str]) -> None:
        deadline = time.monotonic() + LIMIT
        while not condition():
            if time.monotonic() > deadline or self.bash.poll() is not None:
                raise Failure(f'{what}: the output differs from the page:\n'
                              f'{output()}')
            time.sleep(0.05)

    def run(self, block: Block) -> None:
        """Run a block; Failure if it is not as it is shown."""
        commands = block.commands
        while commands:
            count = next((i for i, command in enumerate(commands[1:], start=1)
                          if command.prompt == '$ '), len(commands))
            following = commands[count].text if count < len(commands) else ''
            self._run(commands[0], commands[1:count],
                      may_fail=following == 'echo $?', where=block.where)
            commands = commands[count:]

    def _run(self, command: Command, inputs: list[Command], *, may_fail: bool,
             where: str) -> None:
        binary = os.environ.get('QMP_QEMU_BINARY')
        text = command.text.replace(QEMU, binary) if binary else command.text
        what = f'{where}: {command.text}'
        self.count += 1
        output_file = Path(self.directory.name) / f'output-{self.count}'
        fifo = Path(self.directory.name) / f'input-{self.count}'
        os.mkfifo(fifo)
        stdin = fifo if inputs else '/dev/null'

        def output() -> str:
            return printable(output_file.read_text(errors='replace')
                             if output_file.exists() else '')

        def ended() -> bool:
            line = self.bash.stdout.readline()
            self.status = line.strip() or self.status
            return bool(line)

        self.bash.stdin.write(
            f'{{ (exit {self.status})\n{text}\n}} '
            f'<{stdin} >{output_file} 2>&1\necho $?\n')
        self.bash.stdin.flush()
        if inputs:
            with fifo.open('w') as typed:
                for line in inputs:
                    self._type(line, typed, output, where)
        self._wait(ended, what, output)
        if text.rstrip().endswith('&'):
            self._wait(lambda: command.matches(output(), whole=False), what,
                       output)
        self.log(f'$ {command.text}\n{output()}')
        shown = output().replace(VIRSH_NOISE, '')
        if self.status != '0' and not may_fail:
            raise Failure(f'{what}: exit status {self.status}\n{shown}')
        if not inputs and not text.rstrip().endswith('&') and \
                not command.matches(shown):
            raise Failure(f'{what}: the output differs from the page:\n{shown}')

    def _type(self, line: Command, typed: TextIO, output: Callable[[], str],
              where: str) -> None:
        """Type a line into QEMU, until the answer is the one that is
        shown."""
        what = f'{where}: {line.prompt}{line.text}'
        ask = self._ask_qmp if line.prompt == '-> ' else self._ask_monitor
        deadline = time.monotonic() + LIMIT
        while not ask(line, typed, output, what):
            if time.monotonic() > deadline:
                raise Failure(f'{what}: the output differs from the page:\n'
                              f'{output()}')

    def _ask_monitor(self, line: Command, typed: TextIO,
                     output: Callable[[], str], what: str) -> bool:
        def waiting() -> bool:
            return output().rstrip().endswith('(qemu)')

        self._wait(waiting, what, output)
        before = len(output())
        typed.write(f'{line.text}\n')
        typed.flush()
        if line.text == 'quit':
            return True
        self._wait(lambda: len(output()) > before and waiting(), what, output)
        # First it repeats what was typed
        _, _, answer = output()[before:].partition('\n')
        return line.matches(answer.rstrip().removesuffix('(qemu)'))

    def _ask_qmp(self, line: Command, typed: TextIO,
                 output: Callable[[], str], what: str) -> bool:
        shown = [json.loads(text) for text in
                 re.split(r'^<- ', '\n'.join(line.output), flags=re.M)[1:]]
        before = len(output())

        def answers() -> list[dict[str, object]]:
            lines = output()[before:].split('\n')[:-1]
            return [json.loads(text) for text in lines if text[:1] == '{']

        def there() -> bool:
            return all(any(holds(answer, part) for answer in answers())
                       for part in shown)

        def answered() -> bool:
            return any('return' in answer or 'error' in answer
                       for answer in answers())

        typed.write(' '.join(line.text.split()) + '\n')
        typed.flush()
        if 'query-' in line.text:
            self._wait(answered, what, output)
            return there()
        self._wait(lambda: answered() and there(), what, output)
        return True


def run_page(blocks: list[Block], log: Callable[[str], object]) -> list[str]:
    """Run a page's blocks in a shell of their own; what the first one that is
    not as it should be did."""
    shell = Shell(log)
    try:
        for block in blocks:
            shell.run(block)
    except Failure as failure:
        return [str(failure)]
    finally:
        shell.close()
    return []
