# SPDX-License-Identifier: GPL-2.0-or-later
"""
Run tests that are in QEMU's tree, without KVM.

These are the tests that the series adds or changes, and the tests that
configs/qemu.tests names:

unit   unit tests
qtest  qtests
tsan   unit tests of the series that start threads, in a separate build with
       the thread sanitizer; a data race is a failure
docs   QEMU's documentation with the additions of the series; a warning is a
       failure

Exit status: 0 only if all tests pass.
"""

import os
import shutil
import subprocess
from pathlib import Path

from ..base.command import new_parser
from ..base.steps import Failure, run
from ..build import qemu, series
from ..machine.surroundings import nightly

# Those that take a lock, and so could forget one
TSAN_TESTS = ('test-guest-memfd-manager', 'test-memory-convert',
              'test-range-lock')
TSAN_FOUND = 66         # exit status of a program in which a race was found


def tsan_build(tree: qemu.Tree) -> Path:
    build = tree.path / 'build-tsan'
    qemu.configure(tree.path, build, '--enable-tsan',
                   file=qemu.SMALL_OPTIONS)
    qemu.compile_targets(tree.path, build,
                         *(f'tests/unit/{name}' for name in TSAN_TESTS),
                         title='Build unit tests with the thread sanitizer')
    os.environ['TSAN_OPTIONS'] = f'exitcode={TSAN_FOUND}'
    # The sanitizer knows malloc(), but not how GLib hands memory from one
    # thread to another by itself
    os.environ['G_SLICE'] = 'always-malloc'
    return build


def build_docs(tree: qemu.Tree) -> None:
    """Build QEMU's documentation."""
    output = tree.path / 'build-docs'
    whole = output / 'whole'
    if not whole.exists():
        # What failed before would not tell its warnings again
        shutil.rmtree(output, ignore_errors=True)
    whole.unlink(missing_ok=True)
    run("Build QEMU's documentation",
        ['/usr/bin/sphinx-build', '-q', '-W', '--keep-going',
         '-Dkerneldoc_werror=1', f'-Dversion={tree.version()}', '-b', 'html',
         '-d', output / 'doctrees', tree.path / 'docs', output / 'html'],
        log='qemu-docs', env={**os.environ, 'CONFDIR': '/etc/qemu'})
    if not (output / 'html' / 'system' / 'private-memory.html').exists():
        raise Failure(f'{output} has no page system/private-memory.html: does '
                      'the series still add docs/system/private-memory.rst?')
    whole.touch()


def body() -> int:
    parser = new_parser(__doc__, example='scripts/check qemu qtest')
    parser.add_argument('suite', choices=('unit', 'qtest', 'tsan', 'docs'))
    options = parser.parse_args()
    tree = qemu.tree()
    if options.suite == 'docs':
        build_docs(tree)
        return 0
    if options.suite == 'tsan':
        build = tsan_build(tree)
        names = series.present(build, list(TSAN_TESTS))
    else:
        build = tree.path / 'build'
        wanted = qemu.series_tests(tree) + qemu.existing_tests()
        there = series.present(build, wanted)
        missing = set(wanted) - {name.split('/')[-1] for name in there}
        if missing:
            raise Failure(f'{build} has no test {", ".join(sorted(missing))}: '
                          'build it, or correct configs/qemu.tests')
        names = [name for name in there
                 if name.startswith('qtest') == (options.suite == 'qtest')]
    if not names:
        raise Failure(f'no {options.suite} tests are built in {build}: run '
                      'scripts/build qemu')
    setup = ['--setup=slow'] if nightly() else []
    return subprocess.run([build / 'pyvenv/bin/meson', 'test', '--no-rebuild',
                           '--print-errorlogs', '--timeout-multiplier', '3',
                           f'--logbase={options.suite}',
                           *setup, *names], cwd=build, check=False).returncode
