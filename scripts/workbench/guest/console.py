# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine that one can talk to on its serial console."""

import os
import re
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qemu.machine import QEMUMachine
from qemu.qmp.legacy import QMPMessage

from ..base.paths import build_dir

# Another one shows how a test fails without the series
BINARY = Path(os.environ.get('QMP_QEMU_BINARY') or
              build_dir() / 'bin' / 'qemu-system-x86_64')


class ConsoleMachine(QEMUMachine):
    """
    Our QEMU, with a console.

    What the guest prints is `self.serial()`.  QEMU's own messages and its
    trace, if any, are files in the directory.
    """

    def __init__(self, name: str, directory: Path,
                 wrapper: Sequence[str] = ()) -> None:
        super().__init__(str(BINARY), wrapper=wrapper, name=f'guest-{name}',
                         base_temp_dir=str(directory),
                         log_dir=str(directory))
        self.trace_file = directory / f'{self._name}.trace'
        self.serial_file = directory / f'{self._name}.serial'
        self.input_file = directory / f'{self._name}.input'
        for file in (self.trace_file, self.serial_file, self.input_file):
            file.unlink(missing_ok=True)
        os.mkfifo(self.input_file)
        # For reading too: neither this nor QEMU's end waits for the other
        self._input = os.open(self.input_file, os.O_RDWR)
        self.add_args('-nodefaults', '-accel', 'kvm',
                      '-chardev', f'file,id=serial,path={self.serial_file},'
                      f'input-path={self.input_file}',
                      '-serial', 'chardev:serial',
                      '-msg', 'timestamp=on', '-D', str(self.trace_file))

    def serial(self) -> str:
        """What the guest has printed so far."""
        if not self.serial_file.exists():
            return ''
        return self.serial_file.read_text(errors='replace').replace('\r', '')

    def send(self, text: str) -> None:
        """Type on the guest's console."""
        os.write(self._input, text.encode())

    def event_wait(self, name: str, timeout: float = 60.0,
                   match: QMPMessage | None = None) -> QMPMessage | None:
        """
        Wait for an event.

        Raises asyncio.TimeoutError after so many seconds without any.  With 0
        it does not wait, and returns None if there is none.
        """
        # QEMU's package takes an integer for "wait for ever"
        return super().event_wait(name, float(timeout), match)

    def stop(self) -> None:
        """End QEMU, if need be."""
        if self.is_running():
            self.shutdown(hard=True)

    def trace(self) -> str:
        return self.trace_file.read_text()

    def wait_until(self, condition: Callable[[], bool], limit: float,
                   what: str) -> None:
        """
        Wait until a condition is true.

        Raises RuntimeError if the VM stops instead, and TimeoutError.
        """
        deadline = time.monotonic() + limit
        while not condition():
            if self.event_wait('STOP', timeout=0):
                status = self.cmd('query-status')['status']
                raise RuntimeError(f'VM stopped ({status}) before {what}: '
                                   f'{self.serial()}')
            if time.monotonic() > deadline:
                raise TimeoutError(f'not within {limit} s: {what}: '
                                   f'{self.serial()}')
            time.sleep(0.05)

    def wait_for_line(self, pattern: str, after: int = 0,
                      limit: float = 60) -> re.Match[str]:
        """
        Wait until the guest has printed a line that matches.

        `after` is where in the output to begin.  Raises TimeoutError, or
        RuntimeError if QEMU ends or the VM stops before.
        """
        line = re.compile(pattern + r'\n', re.M)

        def ended_or_there() -> bool:
            nonlocal match
            running = self.is_running()
            match = line.search(self.serial(), after)
            return bool(match) or not running

        match: re.Match[str] | None = None
        self.wait_until(ended_or_there, limit, f'{pattern!r}')
        if not match:
            self.wait()
            raise RuntimeError(f'QEMU ended ({self.exitcode()}) before '
                               f'{pattern!r}: {self.get_log()}'
                               f'{self.serial()}')
        return match
