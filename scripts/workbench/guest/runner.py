# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run avocado tests in one process that forks for each of them.

Tests are what `avocado run` takes, and are run by avocado's own Test class.
But avocado starts a Python process and imports itself for each test, which
under emulation takes longer than most tests do.

A test that is cancelled has not shown anything: it fails, unless
tests/avocado/cancelled.txt says why it cannot run on this kernel.
"""

import argparse
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import unittest
from dataclasses import dataclass
from pathlib import Path

import avocado
from avocado.core.test import TestID

from ..base import explained
from ..base.paths import build_dir
from ..base.steps import Failure, main
from .groups import CANCELLED, TESTS
from .vm_types import VM_TYPES

LINES_ON_FAILURE = 40
GRACE = 60              # seconds after its own limit until a test is killed
EXIT = {'PASS': 0, 'CANCEL': 2, 'SKIP': 2}      # 1 for all else


@dataclass(frozen=True)
class Test:
    """One test method."""
    name: str           # file.py:Class.test_method, as for avocado run
    cls: type[avocado.Test]
    method: str
    file: Path

    @property
    def vm_type(self) -> str:
        """The type of VM that KVM must offer to it, and not to others: most
        machines do not have it."""
        name = getattr(self.cls, 'vm_type', '')
        special = name in VM_TYPES and VM_TYPES[name].kernel_parameter
        return name if special else ''

    def run(self, directory: Path) -> int:
        """Run it in this process; a value of EXIT."""
        log = logging.getLogger('avocado')
        log.setLevel(logging.DEBUG)
        handler = logging.FileHandler(directory / 'debug.log')
        handler.setFormatter(logging.Formatter(
            '%(asctime)s %(levelname)s %(message)s'))
        log.addHandler(handler)
        test = self.cls(methodName=self.method, name=TestID(1, self.name),
                        base_logdir=str(directory))
        test.run_avocado()
        if test.fail_reason:
            (directory / 'reason').write_text(test.fail_reason)
        if test.traceback:
            log.error('%s', test.traceback)
        return EXIT.get(test.status, 1)


def load(argument: str) -> list[Test]:
    """All tests of FILE, or of FILE:Class, or FILE:Class.test_method."""
    path, _, wanted = argument.partition(':')
    file = Path(path)
    spec = importlib.util.spec_from_file_location(f'tests_{file.stem}', file)
    if not spec or not spec.loader or not file.exists():
        raise Failure(f'{path} is not a Python file with tests')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = []
    for cls in vars(module).values():
        if isinstance(cls, type) and issubclass(cls, avocado.Test) and \
                cls.__module__ == module.__name__:
            for method in unittest.TestLoader().getTestCaseNames(cls):
                name = f'{cls.__name__}.{method}'
                if wanted in ('', cls.__name__, name):
                    found.append(Test(f'{file.name}:{name}', cls, method,
                                      file))
    if not found:
        raise Failure(f'{argument}: no such test, use FILE, FILE:Class or '
                      'FILE:Class.test')
    return found


def select(arguments: list[str], vm_type: str) -> list[Test]:
    """What is asked for, of those that need a type of VM or of all others."""
    # By name: a class and a test of it may both be asked for
    tests = {test.name: test for argument in arguments
             for test in load(argument) if test.vm_type == vm_type}
    if not tests:
        raise Failure(f'{" ".join(arguments)}: no test of these runs '
                      f'{"with --" + vm_type if vm_type else "as others do"}, '
                      'see --help')
    return list(tests.values())


def may_be_cancelled(kernel: str) -> dict[str, str]:
    """Tests that cannot run on a kernel, and why."""
    return {test: why for where, test, why in explained.read(CANCELLED)
            if where == kernel}


@dataclass
class Running:
    test: Test
    directory: Path
    start: float
    deadline: float


class Runner:
    """Runs tests, some at once, and prints a line for each."""

    def __init__(self, results: Path, kernel: str) -> None:
        self.results = results
        self.kernel = kernel
        self.excused = may_be_cancelled(kernel)
        self.running: dict[int, Running] = {}
        self.passed: list[str] = []
        self.failed: list[str] = []
        self.cancelled: list[str] = []
        self.seconds: dict[str, float] = {}

    def start(self, test: Test) -> None:
        directory = self.results / test.name
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        sys.stdout.flush()
        pid = os.fork()
        if pid:
            now = time.monotonic()
            limit = float(test.cls.timeout or 300) + GRACE
            self.running[pid] = Running(test, directory, now, now + limit)
            return
        status = 1
        try:
            # A group of its own, so that all of it can be killed
            os.setpgid(0, 0)
            output = os.open(directory / 'output',
                             os.O_CREAT | os.O_WRONLY, 0o644)
            os.dup2(output, 1)
            os.dup2(output, 2)
            status = test.run(directory)
        finally:
            logging.shutdown()
            os._exit(status)

    def wait(self) -> None:
        """Until a test has ended."""
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid in self.running:
                self.ended(self.running.pop(pid),
                           os.waitstatus_to_exitcode(status))
                return
            now = time.monotonic()
            for group, one in self.running.items():
                if now > one.deadline:
                    one.deadline = now + GRACE
                    os.killpg(group, signal.SIGKILL)
            time.sleep(0.05)

    def ended(self, one: Running, status: int) -> None:
        name = one.test.name
        self.seconds[name] = time.monotonic() - one.start
        reason = one.directory / 'reason'
        why = reason.read_text() if reason.exists() else ''
        if status == 0 and name not in self.excused:
            said = 'ok'
            self.passed.append(name)
        elif status == 2 and name in self.excused:
            said = 'cancelled'
            self.cancelled.append(name)
        else:
            said = 'FAILED'
            self.failed.append(name)
            if status == 0:
                why = f'{CANCELLED.name} says that it cannot run'
            elif status == 2:
                why = f'cancelled, {CANCELLED.name} does not say why: {why}'
        print(f'{said:<10} {self.seconds[name]:5.1f} s  {name}', flush=True)
        if said == 'FAILED':
            print(f'    {why}')
            for log in ('debug.log', 'output') if status not in (0, 2) else ():
                path = one.directory / log
                if path.exists():
                    text = path.read_text(errors='replace').splitlines()
                    for line in text[-LINES_ON_FAILURE:]:
                        print(f'    | {line}')
            sys.stdout.flush()

    def run(self, tests: list[Test], jobs: int) -> bool:
        known = self.results / 'seconds.json'
        last = json.loads(known.read_text()) if known.exists() else {}
        # What takes long first, so that nothing waits for it at the end
        queue = sorted(tests, key=lambda test: -last.get(test.name, 0))
        while queue or self.running:
            while queue and len(self.running) < jobs:
                self.start(queue.pop(0))
            self.wait()
        known.write_text(json.dumps(last | self.seconds, indent=1))
        for name in self.cancelled:
            print(f'cancelled on {self.kernel}: {name}: {self.excused[name]}')
        for name in self.failed:
            print(f'FAILED: {name}, see {self.results / name}')
        print(f'{len(self.passed)} passed, {len(self.failed)} failed, '
              f'{len(self.cancelled)} skipped')
        return not self.failed


def avocado_run(tests: list[Test], results: Path, jobs: int) -> int:
    """
    Have avocado's own runner run them; its exit status.

    avocado looks for methods in a file's text.  It is told of all of them, as
    some come from a configuration file.
    """
    recipe = results / 'tests.json'
    recipe.write_text(json.dumps([
        {'kind': 'avocado-instrumented',
         'uri': f'{test.file.resolve()}:{test.cls.__name__}.{test.method}'}
        for test in tests], indent=1))
    return subprocess.run(
        ['/usr/bin/avocado', '--config', TESTS / 'avocado.conf',
         'run', '--max-parallel-tasks', str(jobs), '--job-results-dir',
         results, recipe], check=False).returncode


def body() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--avocado-run', action='store_true')
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--vm-type', default='')
    parser.add_argument('--except', action='append', default=[],
                        dest='left_out')
    parser.add_argument('--kernel', required=True)
    parser.add_argument('--jobs', type=int, default=3)
    parser.add_argument('test', nargs='+')
    options = parser.parse_args()
    tests = [test for test in select(options.test, options.vm_type)
             if test.name not in options.left_out]
    if options.list:
        cancelled = may_be_cancelled(options.kernel)
        print('\n'.join(test.name for test in tests
                        if test.name not in cancelled))
        return 0
    results = build_dir() / 'avocado' / options.kernel
    results.mkdir(parents=True, exist_ok=True)
    if options.avocado_run:
        return avocado_run(tests, results, options.jobs)
    runner = Runner(results, options.kernel)
    return 0 if runner.run(tests, options.jobs) else 1


if __name__ == '__main__':
    main(body)
