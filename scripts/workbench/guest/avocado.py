# SPDX-License-Identifier: GPL-2.0-or-later
"""Base of the avocado tests in tests/avocado."""

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import IO

import avocado

from ..trace.trace import Conversion, conversions
from .console import BINARY, ConsoleMachine
from .guest import PASSED, Guest, Report, has_intent, has_mapped_guest_memfd
from .linux_guest import LinuxGuest
from .memcg import MemoryCgroup
from .vm_types import VM_TYPES


def take_alone(what: str) -> IO[str]:
    """Have what there is one of on this machine, until the file is closed."""
    lock = (Path(tempfile.gettempdir()) / f'alone-{what}').open('w')
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


class GuestTest(avocado.Test):
    """A test that runs guests; they are gone when it ends."""

    timeout = 300
    vm_type = 'sw-protected'    # of guests, unless they are given another one

    def setUp(self) -> None:
        self._guests: list[ConsoleMachine] = []
        self._locks: list[IO[str]] = []
        # Not self.workdir: it may be on 9p, which has no FIFOs
        self._scratch = tempfile.TemporaryDirectory(prefix='guest-')
        self.directory = Path(self._scratch.name)

    def tearDown(self) -> None:
        for guest in self._guests:
            guest.stop()
            self.log.info('serial:\n%s', guest.serial())
            self.log.info('log:\n%s', guest.get_log())
            if guest.trace_file.exists():
                # For scripts/trace
                shutil.copy(guest.trace_file, self.outputdir)
        self._scratch.cleanup()
        for lock in self._locks:
            lock.close()

    def alone_with(self, what: str) -> None:
        """Have what there is one of on this machine until the test ends."""
        self._locks.append(take_alone(what))

    def take_device(self) -> str:
        """
        The device that can be assigned, until the test ends; cancels the test
        if there is none.
        """
        device = os.environ.get('WITH_KVM_DEVICE')
        if not device:
            self.cancel('no device to assign: run beside with-kvm --iommu')
        self.alone_with(f'device-{device}')
        return device

    def guest(self, payload: str, **options) -> Guest:
        """A guest, not yet launched; cancels the test if KVM has none."""
        options.setdefault('vm_type', self.vm_type)
        if not VM_TYPES[options['vm_type']].offered():
            self.cancel(f'KVM offers no VM of type {options["vm_type"]}')
        guest = Guest(payload, directory=self.directory, **options)
        self._guests.append(guest)
        return guest

    def linux(self, name: str = 'linux', **options) -> LinuxGuest:
        """A guest that runs Linux, not yet launched."""
        guest = LinuxGuest(name, self.directory, **options)
        self._guests.append(guest)
        return guest

    def cgroup(self) -> MemoryCgroup:
        """A memory cgroup for a guest; cancels the test if there is none."""
        try:
            return MemoryCgroup(self.directory.name)
        except OSError as error:
            self.cancel(f'this machine has no memory cgroup: {error}')

    def needs_intent(self) -> None:
        """Skip the test where implicit conversions cannot be provoked."""
        if not has_intent():
            self.cancel('this kernel cannot provoke implicit conversions '
                        '(kvm.sw_protected_intent of the test kernel)')

    def needs_mapped_guest_memfd(self) -> None:
        """Skip the test where QEMU cannot map a guest_memfd."""
        if not has_mapped_guest_memfd():
            self.cancel('this kernel cannot map a guest_memfd '
                        '(KVM_CAP_GUEST_MEMFD_FLAGS)')

    def refusal(self, *arguments: str) -> str:
        """What QEMU says when it ends by itself because of its arguments."""
        result = subprocess.run(
            [BINARY, '-nodefaults', '-display', 'none', *arguments],
            timeout=60, stdin=subprocess.DEVNULL, text=True,
            capture_output=True, check=False)
        self.assertEqual(result.returncode, 1, result.stderr)
        return result.stderr

    def check_report(self, report: Report) -> None:
        if report.skipped():
            self.fail(f'the test guest skipped all tests: {report.skipped()}')
        self.assertEqual(report.failures(), [], report.text)

    def check_boots(self, guest: Guest, count: int) -> None:
        """
        Wait for the end of a payload that goes through resets.

        Its last report must be a good one.  Earlier boots may have been cut
        off, but must not have reported a failure.
        """
        boots = guest.finish().boots()
        self.assertEqual(len(boots), count)
        for boot in boots[:-1]:
            self.assertNotIn('not ok', boot.text)
        self.check_report(boots[-1])

    def passes(self, guest: Guest, limit: float = 240) -> None:
        """Run a guest to its end; its payload must report no failure."""
        guest.launch()
        report = guest.finish(limit)
        self.log.info('exit code %s', guest.exitcode())
        self.check_report(report)
        self.assertEqual(guest.exitcode(), PASSED, guest.get_log())

    def conversions(self, guest: Guest) -> list[Conversion]:
        return list(conversions(guest.trace()))
