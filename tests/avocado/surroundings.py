# SPDX-License-Identifier: GPL-2.0-or-later
"""The emulated machine of scripts/with-kvm is what it promises to be."""

import os
import subprocess
from pathlib import Path

import avocado
from workbench.base.paths import REPO, build_dir
from workbench.machine.surroundings import emulated


class Surroundings(avocado.Test):

    def setUp(self):
        if not emulated():
            self.cancel("this machine's own KVM is in use")

    def test_build_directory_is_writable(self):
        with self.subTest('through a file'):
            path = build_dir() / 'with-kvm' / 'written-inside'
            path.write_text('yes')
            self.assertEqual(path.read_text(), 'yes')
            self.assertTrue(path.stat().st_dev !=
                            Path(REPO).stat().st_dev)
            path.unlink()

    def test_everything_else_is_thrown_away(self):
        fstype = subprocess.run(['stat', '--file-system', '--format=%T', REPO],
                                check=True, capture_output=True, text=True)
        self.assertEqual(fstype.stdout.strip(), 'overlayfs')
        (REPO / 'README.rst').write_text('gone when this machine is')

    def test_kvm(self):
        self.assertTrue(os.access('/dev/kvm', os.R_OK | os.W_OK))
