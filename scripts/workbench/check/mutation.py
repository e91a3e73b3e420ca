# SPDX-License-Identifier: GPL-2.0-or-later
"""Deliberate faults in the series, which tests must notice."""

import subprocess
import tomllib
from dataclasses import dataclass
from pathlib import Path

from ..base.paths import REPO
from ..base.steps import Failure, step
from ..base.tables import table
from ..build import qemu, series
from ..build.qemu import Tree, git, patches

FAULTS = REPO / 'tests' / 'mutation' / 'faults.toml'
LIMIT = 1200    # seconds for one test, which a fault may make hang


@dataclass(frozen=True)
class Fault:
    name: str
    file: str
    old: str
    new: str

    def apply(self, tree: Path) -> None:
        path = tree / self.file
        text = path.read_text()
        if text.count(self.old) != 1:
            raise Failure(f'{FAULTS.name}: "{self.name}": {self.file} has the '
                          f'text to replace {text.count(self.old)} times, not '
                          'once: correct the fault')
        path.write_text(text.replace(self.old, self.new))


def faults() -> list[Fault]:
    return [Fault(**fault)
            for fault in tomllib.loads(FAULTS.read_text())['fault']]


def noticed_by(tree: Tree, build: Path) -> str:
    """Build, run what the series has in tests until one fails; returns that."""
    built = subprocess.run(['ninja', *qemu.targets(tree, build)], cwd=build,
                           env=qemu.environment(tree.path), check=False,
                           capture_output=True)
    if built.returncode:
        return 'build'
    # Unit tests are quick, and are called test-...
    for name in sorted(series.present(build, qemu.series_tests(tree)),
                       key=lambda name: 'qtest' in name):
        try:
            status = subprocess.run(
                [build / 'pyvenv/bin/meson', 'test', '--no-rebuild', name],
                cwd=build, check=False, capture_output=True,
                timeout=LIMIT).returncode
        except subprocess.TimeoutExpired:
            status = 1
        if status:
            return name.split('/')[-1]
    return ''


def run(wanted: str) -> int:
    """Make each fault whose name contains `wanted`; returns 1 if nothing
    notices one of them."""
    tree = Tree(qemu.place('mutation'), qemu.source())
    build = tree.path / 'build'
    step('Unpack QEMU and apply the series',
         lambda bar: tree.create(bar, patches()))
    qemu.configure(tree.path, build)
    rows = [['fault', 'noticed by']]
    missed = 0

    def noticed(fault: Fault) -> str:
        fault.apply(tree.path)
        by = noticed_by(tree, build)
        git(tree.path, 'checkout', '--', '.')
        return by

    failed = step('Test without a fault', lambda bar: noticed_by(tree, build))
    if failed:
        raise Failure(f'{failed} fails without a fault: correct this first')
    for fault in faults():
        if wanted not in fault.name:
            continue
        by = step(fault.name, lambda bar, fault=fault: noticed(fault))
        rows.append([fault.name, by or 'NOTHING'])
        missed += by in ('', 'build')
    print(table(rows, left=2))
    return 1 if missed else 0
