# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated machine of scripts/with-kvm, from the outside: where a clone may
be, and what a terminal is there."""

import os
import pty
import re
import select
import shutil
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

from workbench.base.paths import REPO

LIMIT = 240             # seconds, for one start
PLACES = ('/tmp', '/var/tmp', '/run', '/dev/shm')


def clone(directory: Path) -> None:
    """What of the project it takes to start the machine."""
    for name in ('scripts', 'configs', 'patches/emulator', 'tests/kernel'):
        shutil.copytree(REPO / name, directory / name, symlinks=True)
    (directory / 'message').write_text('of this clone\n')


class Anywhere(unittest.TestCase):

    def with_kvm(self, repo, *command):
        environment = {**os.environ, 'API_TOKEN': 'secret'}
        environment.pop('QMP_BUILD_DIR', None)
        return subprocess.run(
            ['scripts/with-kvm', '--emulate', '--', *command],
            cwd=repo, env=environment, timeout=LIMIT, text=True,
            stdin=subprocess.DEVNULL, capture_output=True, check=False)

    def test_places(self):
        """Below what is mounted there, and with spaces in the name."""
        for place in PLACES:
            with self.subTest(place), tempfile.TemporaryDirectory(
                    dir=place, prefix="a clone, here's ") as directory:
                repo = Path(directory)
                clone(repo)
                result = self.with_kvm(
                    repo, 'sh', '-c',
                    'cat message && echo changed >message && '
                    'echo kept >build/message && env; exit 5')
                self.assertEqual(result.returncode, 5, result.stderr)
                self.assertTrue(result.stdout.startswith('of this clone\n'))
                self.assertNotIn('secret', result.stdout)
                self.assertEqual((repo / 'message').read_text(),
                                 'of this clone\n')
                self.assertEqual((repo / 'build' / 'message').read_text(),
                                 'kept\n')


class Killed(unittest.TestCase):

    def test_ends(self):
        """The machine does not outlive the command that was killed."""
        with subprocess.Popen(
                ['scripts/with-kvm', '--emulate', '--', 'sh', '-c',
                 'echo up; read end'], cwd=REPO, text=True,
                stdin=subprocess.PIPE, stdout=subprocess.PIPE) as command:
            try:
                self.assertEqual(command.stdout.readline(), 'up\n')
                children = Path(f'/proc/{command.pid}/task/{command.pid}/'
                                'children').read_text().split()
                machine, = (pid for pid in children if 'qemu' in
                            Path(f'/proc/{pid}/cmdline').read_text())
            finally:
                command.kill()
        deadline = time.monotonic() + 60
        while Path(f'/proc/{machine}').exists():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)


class Terminal(unittest.TestCase):

    def setUp(self):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execv(REPO / 'scripts' / 'with-kvm', [
                'with-kvm', '--emulate', '--', 'sh', '-i'])
        self.addCleanup(os.close, self.terminal)
        self.seen = ''

    def wait_for(self, pattern):
        """Until the screen has it; what was before is forgotten."""
        deadline = time.monotonic() + LIMIT
        while not (match := re.search(pattern, self.seen)):
            left = deadline - time.monotonic()
            self.assertTrue(left > 0 and
                            select.select([self.terminal], [], [], left)[0],
                            f'no {pattern!r} in {self.seen!r}')
            try:
                data = os.read(self.terminal, 4096)
            except OSError:
                data = b''
            self.assertTrue(data, f'ended: {self.seen!r}')
            self.seen += data.decode(errors='replace')
        self.seen = self.seen[match.end():]
        return match

    def type(self, text):
        os.write(self.terminal, text.encode())

    def test_shell(self):
        """Job control, keys that send signals, and the exit status."""
        self.wait_for(r'# ')
        self.type('echo "[$-]"\r')
        self.assertIn('m', self.wait_for(r'\[(\w+)\]\r\n')[1])
        self.type('tty\r')
        self.wait_for(r'/dev/\w+\r\n')
        self.type(r"""sh -c "trap 'echo on\"\"ward' CONT; echo be\"\"gins; """
                  r"""while :; do sleep 0.2; done" """ '\r')
        self.wait_for('begins')
        self.type('\x1a')
        self.wait_for('Stopped')
        self.type('fg\r')
        # Not before it has the terminal again, or the key is the shell's
        self.wait_for('onward')
        self.type('\x03')
        self.wait_for(r'# ')
        self.type('echo "status $?"\r')
        self.assertEqual(self.wait_for(r'status (\d+)\r\n')[1], '130')
        self.type('exit 7\r')
        self.assertEqual(os.waitstatus_to_exitcode(
            os.waitpid(self.pid, 0)[1]), 7)

    def test_end_key(self):
        """One key always ends the machine."""
        self.wait_for(r'# ')
        self.type('\x1d')
        self.assertEqual(os.waitstatus_to_exitcode(
            os.waitpid(self.pid, 0)[1]), 130)


if __name__ == '__main__':
    unittest.main()
