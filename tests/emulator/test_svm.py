# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU of the emulated machine: what KVM relies on, by a payload."""

import subprocess
import unittest

from workbench.base.paths import build_dir
from workbench.build import emulator_build
from workbench.guest.guest import EXIT_PORT, PASSED, Report

PAYLOAD = build_dir() / 'tests' / 'emulator' / 'svm.bin'
LIMIT = 120             # seconds; it takes a few


class Svm(unittest.TestCase):

    def test_payload(self):
        run = subprocess.run(
            [emulator_build.binary(), '-no-user-config', '-nodefaults',
             '-no-reboot', '-display', 'none', '-M', 'q35',
             '-accel', 'tcg,thread=multi', '-cpu', emulator_build.C_BIT_CPU,
             '-smp', '2', '-m', '64M', '-bios', str(PAYLOAD),
             '-serial', 'stdio', '-device', EXIT_PORT],
            stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=LIMIT, check=False)
        said = f'{run.stdout}\n{run.stderr}'
        self.assertEqual(Report(run.stdout).failures(), [], said)
        self.assertEqual(run.returncode, PASSED, said)


if __name__ == '__main__':
    unittest.main()
