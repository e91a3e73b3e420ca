# SPDX-License-Identifier: GPL-2.0-or-later
"""QEMU in a build of its own that counts lines and edges, and looks for errors
in the use of memory: for coverage and for fuzzing."""

import os
from pathlib import Path

from ..base.paths import build_dir, digest
from . import qemu
from .qemu import BASE_TAG, Tree, git

COMPILER = 'clang'
# TCG and device models are not what is looked at, but take time to build, and
# each trace point is a branch.  The reports of the sanitizer need no more debug
# information than lines.
OPTIONS = ('--enable-fuzzing', '--enable-gcov', '--enable-asan',
           '--disable-tcg', '--enable-trace-backends=nop',
           '-Doptimization=1', '--disable-debug-info',
           '--extra-cflags=-gline-tables-only')
FUZZER = 'qemu-fuzz-x86_64'


def new_files(tree: Tree) -> list[str]:
    """The files of code, not of tests, that the series adds."""
    return git(tree.path, 'diff', '--name-only', '--diff-filter=A', BASE_TAG,
               'HEAD', '--', '*.c', ':!tests').splitlines()


def build(tree: Tree) -> Path:
    """Build QEMU, unit tests and the fuzzer; returns where."""
    path = tree.path / 'build-instrumented'
    qemu.configure(tree.path, path, *OPTIONS, file=qemu.SMALL_OPTIONS,
                   compiler=COMPILER)
    # Brings the build files up to date, and with them QEMU's own list of what
    # is to guide the fuzzer; so that ours comes after
    targets = [target for target in qemu.targets(tree, path)
               if not target.startswith(('tests/qtest/', 'tests/bench/'))]
    rules = [f'src:*/{name}' for name in new_files(tree)]
    rules += ['src:*/tests/qtest/fuzz/fuzz.c', 'fun:*', '']
    rules_file = path / 'instrumentation-filter'
    rules_file.write_text('\n'.join(rules))
    # ccache does not know that what it has depends on it
    os.environ['CCACHE_EXTRAFILES'] = str(rules_file)
    qemu.compile_targets(tree.path, path, FUZZER, *targets,
                         title='Build QEMU with coverage and sanitizer')
    # Gigabytes that are still on their way to the disk hold up QEMU for longer
    # than qtests wait for it
    os.sync()
    return path


def counts() -> Path:
    """Where the counts of what was executed go: to memory, as each process
    leaves a file for each file of QEMU's."""
    return Path('/dev/shm') / f'counts-{digest([str(build_dir())])}'


def environment() -> dict[str, str]:
    """QEMU is not made to free everything at its end, and tests look at what
    it prints."""
    return {**os.environ, 'GCOV_PREFIX': str(counts()), 'ASAN_OPTIONS':
            f'detect_leaks=0:log_path={build_dir()}/logs/asan'}
