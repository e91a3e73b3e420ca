# SPDX-License-Identifier: GPL-2.0-or-later
"""What is run again when something changes, and what a stamp is worth."""

import os
import shutil
import tempfile
import unittest
from pathlib import Path
from unittest import mock

from workbench.base import bases
from workbench.base.paths import REPO, build_dir
from workbench.base.steps import Failure
from workbench.build import qemu
from workbench.check import stamps, suite
from workbench.check.stamps import State
from workbench.docs import doccommands
from workbench.guest import groups, runner

ON_QEMU = {'qemu-unit', 'qemu-qtest', 'qemu-tsan', 'coverage', 'fuzz',
           'replay', 'workbench', 'docs'}
# QEMU 10.0 does not have it
TDX = {'avocado-tdx-new'} if bases.current().version != '10.0' else set()
ON_LTS = {'avocado-lts', 'avocado-snp-lts', 'avocado-snp-c-bit-lts',
          'docs-host', 'docs-kvm'}
ON_NEW = {'avocado-new', 'avocado-snp-new', 'avocado-snp-c-bit-new',
          *TDX, 'docs-host', 'bases'}
SELFTESTS = {'kernel-lts', 'kernel-new'}
ON_KVM = {*ON_LTS, *ON_NEW}
ON_EMULATOR = {'deb', 'machine', 'emulator', *SELFTESTS}
WORKBENCH = 'scripts/workbench'
ALL = {*ON_QEMU, *ON_KVM, *ON_EMULATOR, 'series', 'bases', 'shellcheck',
       'qemu-docs'}

# What is changed, and what must run again because of it.  All files of the repo
# are a part of workbench and docs, whose tests may look anywhere.
CHANGES = {
    # The series
    'patches/qemu-10.0/BASE': {'series', 'bases', 'deb'},
    'configs/checkpatch-explained.txt': {'series'},
    'configs/series-differences.txt': {'series'},
    'configs/features.cfg': set(),
    'patches/qemu-10.2/BASE': {'series', 'bases'},
    'configs/qemu.options': {*ON_QEMU, *ON_KVM, 'bases'},
    'configs/qemu.tests': {*ON_QEMU, 'bases'},
    # Guests
    'tests/guest/storm.c': {*ON_KVM, 'deb'},
    'tests/guest/lib/page.c': {*ON_KVM, 'deb', 'emulator'},
    'tests/guest/meson.build': {*ON_KVM, 'deb'},
    'tests/linux/init': ON_KVM,
    'tests/linux/encrypted-init': ON_KVM,
    'tests/linux/load/convert.c': ON_KVM,
    'configs/vm/sw-protected.cfg': ON_KVM,
    'configs/libvirt/sw-protected.xml': ON_KVM,
    # The emulated machine
    'patches/emulator/0001-new.patch': {*ON_KVM, *ON_EMULATOR, 'series'},
    'configs/emulator.mak': {*ON_KVM, *ON_EMULATOR},
    'configs/emulator.options': {*ON_KVM, *ON_EMULATOR},
    'scripts/workbench/build/emulator_build.py': {*ON_KVM, *ON_EMULATOR, 'series'},
    'tests/emulator/svm.c': {'emulator'},
    # Kernels
    'configs/kernel/kvm.config': {*ON_KVM, 'deb', 'machine', *SELFTESTS},
    'configs/kernel/new/sysctl.config': {*ON_NEW, 'kernel-new'},
    'configs/kernel/lts/sysctl.config': {*ON_LTS, 'deb', 'machine',
                                        'kernel-lts'},
    'tests/kernel/new/soft-snp.patch': {*ON_NEW, 'kernel-new'},
    'tests/kernel/new/soft-tdx.patch': {*ON_NEW, 'kernel-new'},
    'tests/kernel/lts/soft-snp.patch': {*ON_LTS, 'deb', 'machine',
                                        'kernel-lts'},
    'tests/kernel/sw-protected-intent.patch': {*ON_KVM, 'deb', 'machine',
                                               *SELFTESTS},
    # Tests
    'tests/avocado/storm.py': ON_KVM,
    'tests/avocado/guests.py': {*ON_KVM, 'deb'},
    'tests/avocado/new.cfg': ON_KVM,
    'tests/avocado/docs.py': {'docs-kvm'},
    'tests/avocado/troubleshooting.py': {'docs-kvm'},
    'tests/avocado/cancelled.txt': ON_KVM,
    'tests/avocado/groups.txt': ON_KVM,
    'tests/fuzz/corpus/new': {'fuzz'},
    'tests/replay/new.replay': {'replay'},
    'tests/unit/test_plot.py': set(),
    'tests/deb/test_deb.py': {'deb'},
    # Scripts, and what they import
    'scripts/series': {'series'},
    'scripts/check': ALL - {'series', 'machine', 'emulator', 'shellcheck',
                            'replay'},
    'scripts/with-kvm': {*ON_KVM, *ON_EMULATOR},
    'scripts/demo': {'docs-host'},
    'scripts/build': {'docs-host', 'deb', 'bases'},
    f'{WORKBENCH}/base/command.py': ALL - {'shellcheck'},
    f'{WORKBENCH}/base/steps.py': ALL - {'shellcheck'},
    f'{WORKBENCH}/commands/series.py': {'series'},
    f'{WORKBENCH}/commands/check.py': set(),
    f'{WORKBENCH}/commands/check_guest.py': {*ON_KVM, 'deb'},
    f'{WORKBENCH}/commands/check_qemu.py': {'qemu-unit', 'qemu-qtest',
                                            'qemu-tsan', 'qemu-docs', 'bases'},
    f'{WORKBENCH}/commands/check_fuzz.py': {'fuzz'},
    f'{WORKBENCH}/commands/check_kernel.py': SELFTESTS,
    f'{WORKBENCH}/commands/check_mutation.py': set(),
    f'{WORKBENCH}/commands/with_kvm.py': {*ON_KVM, *ON_EMULATOR},
    f'{WORKBENCH}/commands/demo.py': {'docs-host'},
    f'{WORKBENCH}/commands/build_deb.py': {'deb'},
    f'{WORKBENCH}/commands/trace_plot.py': {'docs-host'},
    f'{WORKBENCH}/commands/trace_replay.py': {'docs-host', 'replay'},
    f'{WORKBENCH}/commands/measure_dma.py': set(),
    f'{WORKBENCH}/machine/guest-init': {*ON_KVM, *ON_EMULATOR, 'shellcheck'},
    f'{WORKBENCH}/machine/emulator.py': {*ON_KVM, *ON_EMULATOR},
    f'{WORKBENCH}/trace/trace.py': {*ON_KVM, 'deb', 'emulator', 'replay'},
    f'{WORKBENCH}/trace/plot.py': {'docs-host'},
    f'{WORKBENCH}/guest/runner.py': {*ON_KVM, 'deb'},
    f'{WORKBENCH}/guest/demo.py': {'docs-host'},
    f'{WORKBENCH}/guest/avocado.py': {*ON_KVM, 'deb'},
    f'{WORKBENCH}/docs/pages.py': {'docs-host'},
    f'{WORKBENCH}/check/coverage.py': {'coverage', 'fuzz'},
    f'{WORKBENCH}/check/fuzzing.py': {'fuzz'},
    f'{WORKBENCH}/measure/dma.py': set(),
    f'{WORKBENCH}/build/deb-build': {'shellcheck', 'deb'},
    f'{WORKBENCH}/build/selftests.py': SELFTESTS,
    f'{WORKBENCH}/build/qemu.py': ALL - {'shellcheck'},
    '.ci/run': {'shellcheck'},
    # Prose
    'docs/security.rst': set(),
    'docs/troubleshooting.rst': {'docs-kvm'},
    'tests/mutation/faults.toml': set(),
}
ANYWHERE = {'workbench', 'docs'}

# The same in QEMU's tree
QEMU_CHANGES = {
    'system/memory.c': {*ON_QEMU, *ON_KVM, 'qemu-docs'} - {'bases'},
    'include/new.h': {*ON_QEMU, *ON_KVM, 'qemu-docs'} - {'bases'},
    'tests/qtest/private-memory-test.c': ON_QEMU,
    'docs/system/private-memory.rst': {'qemu-docs'},
    'python/qemu/machine.py': {*ON_QEMU, *ON_KVM, 'qemu-docs', 'deb',
                               'emulator'},
    'build/config-host.h': {*ON_QEMU, *ON_KVM} - {'bases'},
    'build/qemu-system-x86_64': set(),
    'MAINTAINERS': set(),
}


class Keys(unittest.TestCase):
    """In a copy of the repo, and with a small tree of QEMU."""

    @classmethod
    def setUpClass(cls):
        def no_sources(top, names):
            return [name for name in names if name in ('.git', '__pycache__') or
                    (Path(top) / name / 'meson-info').exists()]

        cls.root = Path(cls.enterClassContext(tempfile.TemporaryDirectory()))
        cls.repo = cls.root / 'repo'
        shutil.copytree(REPO, cls.repo, symlinks=True, ignore=no_sources)
        here = build_dir()
        cls.build = cls.repo / 'build'
        info = cls.build / 'meson-info'
        info.mkdir(parents=True)
        text = (here / 'meson-info' / 'intro-tests.json').read_text()
        (info / 'intro-tests.json').write_text(
            text.replace(str(here), str(cls.build)
                         ).replace(str(REPO), str(cls.repo)))
        cls.tree = cls.build / 'qemu'
        for name in ('VERSION', *QEMU_CHANGES):
            if name != 'include/new.h':
                (cls.tree / name).parent.mkdir(parents=True, exist_ok=True)
                (cls.tree / name).write_text(name)
        qemu.git(cls.tree, 'init', '--quiet')
        (cls.tree / '.git' / 'info' / 'exclude').write_text('/build*/\n')
        for command in (['add', '--all'],
                        ['commit', '--quiet', '--message=x'],
                        ['tag', qemu.BASE_TAG]):
            qemu.git(cls.tree, *command, **qemu.BASE_IDENTITY)
        cls.pages = [cls.repo / page.relative_to(REPO)
                     for page in doccommands.PAGES]

    def setUp(self):
        for patch in (
                mock.patch.dict(os.environ, QMP_BUILD_DIR=str(self.build)),
                mock.patch.object(doccommands, 'PAGES', self.pages),
                mock.patch.object(doccommands, 'REPO', self.repo),
                mock.patch.object(stamps.packages, 'with_dependencies',
                                  lambda: iter(['gcc 0']))):
            patch.start()
            self.addCleanup(patch.stop)
        self.before = self.keys()

    def keys(self):
        tests = stamps.tests(State(repo=self.repo))
        return {test.name: test.parts() for test in tests if not test.nightly}

    def changed(self, path, text='changed'):
        """What would run again if this file were changed."""
        old = path.read_bytes() if path.exists() else None
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((old or b'') + f'\n{text}\n'.encode())
        try:
            after = self.keys()
        finally:
            if old is None:
                path.unlink()
            else:
                path.write_bytes(old)
        return {name for name, parts in after.items()
                if parts != self.before[name]}

    def test_what_decides_is_known(self):
        self.assertEqual(set(self.before), ALL)
        self.assertEqual(set(stamps.INPUTS), ALL | {'avocado-tdx-new'})
        for name, parts in self.before.items():
            self.assertIsNotNone(parts, name)

    def test_files(self):
        for name, expected in CHANGES.items():
            with self.subTest(name):
                self.assertEqual(
                    self.changed(self.repo / name, '# changed'),
                    expected | ANYWHERE)

    def test_qemu(self):
        for name, expected in QEMU_CHANGES.items():
            with self.subTest(name):
                self.assertEqual(self.changed(self.tree / name), expected)

    def test_commands_of_the_pages(self):
        """A command that changed is run again, prose is not."""
        page = self.repo / 'docs' / 'developing.rst'
        for kind, expected in (('host', {'docs-host'}), ('kvm', {'docs-kvm'}),
                               ('never, why', set())):
            with self.subTest(kind):
                block = (f'\n.. run: {kind}\n\n.. code-block:: console\n\n'
                         '   $ scripts/check --help\n')
                self.assertEqual(self.changed(page, block),
                                 expected | ANYWHERE)

    def test_committed_or_not(self):
        """The same content is the same, wherever it is."""
        file = self.tree / 'system' / 'memory.c'
        old = file.read_text()
        file.write_text('new')
        uncommitted = self.keys()
        qemu.git(self.tree, 'commit', '--quiet', '--all', '--message=y',
                 **qemu.BASE_IDENTITY)
        self.assertEqual(self.keys(), uncommitted)
        self.assertNotEqual(uncommitted, self.before)
        elsewhere = self.root / 'elsewhere'
        shutil.copytree(self.repo, elsewhere, symlinks=True)
        listing = elsewhere / 'build' / 'meson-info' / 'intro-tests.json'
        listing.write_text(listing.read_text().replace(str(self.repo),
                                                       str(elsewhere)))
        with mock.patch.dict(os.environ,
                             QMP_BUILD_DIR=str(elsewhere / 'build')), \
                mock.patch.object(doccommands, 'PAGES', [
                    elsewhere / page.relative_to(self.repo)
                    for page in self.pages]), \
                mock.patch.object(doccommands, 'REPO', elsewhere):
            there = {test.name: test.parts()
                     for test in stamps.tests(State(repo=elsewhere))
                     if not test.nightly}
        self.assertEqual(there, uncommitted)
        file.write_text(old)
        qemu.git(self.tree, 'commit', '--quiet', '--all', '--message=z',
                 **qemu.BASE_IDENTITY)

    def test_new_test_of_the_series(self):
        """Which tests are run is known by what is committed."""
        file = self.tree / 'tests' / 'qtest' / 'new-test.c'
        file.write_text('new')
        uncommitted = self.keys()
        qemu.git(self.tree, 'add', '--all')
        qemu.git(self.tree, 'commit', '--quiet', '--message=y',
                 **qemu.BASE_IDENTITY)
        self.addCleanup(qemu.git, self.tree, 'reset', '--quiet', '--hard',
                        'HEAD^')
        self.assertEqual({name for name, parts in self.keys().items()
                          if parts != uncommitted[name]}, ON_QEMU)

    def test_machine(self):
        """Another version of a package is another machine."""
        with mock.patch.object(stamps.packages, 'with_dependencies',
                               lambda: iter(['gcc 1'])):
            after = self.keys()
        self.assertEqual({name for name, parts in after.items()
                          if parts != self.before[name]}, ALL)

    def test_command(self):
        listing = self.build / 'meson-info' / 'intro-tests.json'
        old = listing.read_text()
        self.addCleanup(listing.write_text, old)
        listing.write_text(old.replace('"10"', '"11"'))
        after = self.keys()
        self.assertEqual({name for name, parts in after.items()
                          if parts != self.before[name]}, {'fuzz'})

    def test_input_that_is_gone(self):
        with self.assertRaisesRegex(Failure, 'no/such does not exist'):
            State(repo=self.repo).digest('no/such')


class OwnCache(unittest.TestCase):
    """No stamps but those of the test."""

    def setUp(self):
        scratch = self.enterContext(tempfile.TemporaryDirectory())
        self.enterContext(mock.patch.dict(os.environ, XDG_CACHE_HOME=scratch))


class Stamps(OwnCache):

    def setUp(self):
        super().setUp()
        self.parts = {'one': '1', 'two': '2'}

    def test_kept(self):
        self.assertIsNone(stamps.find('a', self.parts))
        self.assertIsNone(stamps.last('a'))
        stamps.write('a', self.parts, 1.0)
        self.assertEqual(stamps.find('a', self.parts).seconds, 1.0)
        self.assertIsNone(stamps.find('b', self.parts))
        other = self.parts | {'two': '3', 'more': '4'}
        self.assertIsNone(stamps.find('a', other))
        self.assertEqual(stamps.last('a').changed(other), ['more', 'two'])
        stamps.remove('a', self.parts)
        self.assertIsNone(stamps.find('a', self.parts))

    def test_half_made(self):
        stamps.write('a', self.parts, 1.0)
        file, = stamps.directory('a').iterdir()
        whole = file.read_text()
        for text in ('', whole[:len(whole) // 2], '{}', '[]',
                     whole.replace('"1"', '"9"')):
            with self.subTest(text):
                file.write_text(text)
                self.assertIsNone(stamps.find('a', self.parts))

    def test_write_fails(self):
        with mock.patch.object(Path, 'replace', side_effect=OSError):
            with self.assertRaises(OSError):
                stamps.write('a', self.parts, 1.0)
        self.assertIsNone(stamps.find('a', self.parts))
        self.assertIsNone(stamps.last('a'))


class Suite(OwnCache):
    """Which tests are run, and what is remembered of them."""

    class Test:
        def __init__(self, name, parts, nightly=False):
            self.name, self.suites, self.command = name, ['unit'], []
            self.state, self.nightly, self.now = None, nightly, parts

        def parts(self):
            return self.now

    def setUp(self):
        super().setUp()
        self.test = self.Test('a', {'one': '1'})

    def remember(self, planned, passed, after=None):
        result = suite.Result('a', 'unit', passed, False, 2.0, '')
        with mock.patch.object(suite, 'Test',
                               lambda *_: after or planned.test):
            return suite.remember([planned], {'a': result}, None)

    def test_passes_once(self):
        planned = suite.plan(self.test, True)
        self.assertIsNone(planned.stamp)
        self.assertEqual(planned.why, 'has not passed before')
        self.assertEqual(self.remember(planned, True), [])
        again = suite.plan(self.test, True)
        self.assertEqual(again.stamp.seconds, 2.0)
        self.assertRegex(again.why, 'passed .*, the same since: one')
        self.assertIsNone(suite.plan(self.test, False).stamp)
        self.test.now = {'one': '2'}
        self.assertRegex(suite.plan(self.test, True).why,
                         'changed since .*: one')

    def test_fails(self):
        """Also after it passed with just the same."""
        self.remember(suite.plan(self.test, True), True)
        self.remember(suite.plan(self.test, False), False)
        self.assertIsNone(suite.plan(self.test, True).stamp)

    def test_changed_meanwhile(self):
        after = self.Test('a', {'one': '2'})
        self.assertEqual(self.remember(suite.plan(self.test, True), True,
                                       after), ['a'])
        self.assertIsNone(suite.plan(self.test, True).stamp)
        self.assertIsNone(suite.plan(after, True).stamp)

    def test_not_run(self):
        suite.remember([suite.plan(self.test, True)], {}, None)
        self.assertIsNone(suite.plan(self.test, True).stamp)

    def test_not_known(self):
        self.remember(suite.plan(self.test, True), True)
        for unknown in (self.Test('a', None), self.Test('a', {}, nightly=True)):
            self.assertIsNone(suite.plan(unknown, True).stamp)
        with mock.patch.dict(os.environ, QMP_QEMU_BINARY='/other'):
            self.assertIsNone(suite.plan(self.test, True).stamp)

    def test_nightly(self):
        """What takes hours is not for the day, and not for want of a suite."""
        def names(*arguments):
            return {test.name for test in suite.wanted(None, *arguments)}

        nightly = {'fuzz-long', 'mutation', 'bisect'}
        self.assertEqual(names([], False), ALL)
        self.assertEqual(names([], True), ALL | nightly)
        self.assertEqual(names(['series'], False), {'series'})
        self.assertEqual(names(['fuzz'], True), {'fuzz', 'fuzz-long'})

    def test_slowest(self):
        output = ('ok           9.5 s  storm.py:Storm.test_storm\n'
                  ' 1/20 qemu:qtest+qtest-x86_64 / qtest-x86_64/a-test   '
                  'OK      7.25s   3 subtests passed\n'
                  ' 2/20 test-b   OK      0.10s\n')
        result = suite.Result('x', 'unit', True, False, 20.0, output)
        self.assertEqual(list(result.tests()),
                         [(9.5, 'x: storm.py:Storm.test_storm'),
                          (7.25, 'x: qtest-x86_64/a-test'),
                          (0.1, 'x: test-b')])


class Groups(unittest.TestCase):

    def test_each_exists(self):
        """What groups.txt names is there."""
        for group in ('docs', 'kernel', 'nightly'):
            for name in groups.members(group):
                with self.subTest(name):
                    found = runner.load(str(groups.TESTS / name))
                    # What is left out is one test
                    self.assertIn(name, [test.name for test in found] if
                                  group == 'nightly' else [name])

    def test_nightly(self):
        self.assertTrue(groups.left_out(nightly=False))
        self.assertEqual(groups.left_out(nightly=True), [])

    def test_each_test_is_in_one(self):
        files = {path.name for path in groups.TESTS.glob('*.py')}
        self.assertEqual(files, {*groups.select('guests', 'lts'),
                                 *groups.select('docs', 'lts')})

    def test_each_test_runs_somewhere(self):
        """What one kernel cannot run, another one does."""
        excused = runner.may_be_cancelled('lts')
        self.assertTrue(excused)
        there = groups.select('kernel', 'new')
        self.assertEqual(set(excused) - set(there), set())


if __name__ == '__main__':
    unittest.main()
