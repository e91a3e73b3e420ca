# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner of avocado tests says what became of each."""

import contextlib
import io
import tempfile
import unittest
from pathlib import Path

from workbench.base.steps import Failure
from workbench.guest import runner

TESTS = '''
import os
import time

import avocado


class Kinds(avocado.Test):

    timeout = 1

    def test_passes(self):
        self.log.info('seen')

    def test_fails(self):
        self.assertEqual(1, 2, 'one is not two')

    def test_cancels(self):
        self.cancel('something is missing')

    def test_excused(self):
        self.cancel('nobody has it')

    def test_excused_but_runs(self):
        pass

    def test_takes_too_long(self):
        time.sleep(60)

    def test_dies(self):
        os.abort()


class SnpKinds(avocado.Test):

    vm_type = 'sev-snp'

    def test_snp(self):
        pass
'''


class Runner(unittest.TestCase):

    def setUp(self):
        self.directory = Path(
            self.enterContext(tempfile.TemporaryDirectory()))
        self.file = self.directory / 'kinds.py'
        self.file.write_text(TESTS)

    def run_tests(self, argument):
        one = runner.Runner(self.directory, 'none')
        one.excused = {f'kinds.py:Kinds.test_{name}': 'so it is'
                       for name in ('excused', 'excused_but_runs')}
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            good = one.run(runner.load(argument), 3)
        return good, one, output.getvalue()

    def names(self, tests):
        return sorted(name.partition('test_')[2] for name in tests)

    def test_snp(self):
        """Those of SEV-SNP VMs run in a machine of their own."""
        file, one = str(self.file), f'{self.file}:SnpKinds.test_snp'
        self.assertEqual([test.method for test in
                          runner.select([file, one], 'sev-snp')],
                         ['test_snp'])
        self.assertNotIn('test_snp', [test.method for test in
                                      runner.select([file], '')])
        for other in ('', 'sev-snp-c-bit'):
            with self.assertRaisesRegex(Failure, 'no test of these runs'):
                runner.select([one], other)

    def test_all_kinds(self):
        good, one, output = self.run_tests(f'{self.file}:Kinds')
        self.assertFalse(good)
        self.assertEqual(self.names(one.passed), ['passes'])
        self.assertEqual(self.names(one.cancelled), ['excused'])
        self.assertEqual(self.names(one.failed), [
            'cancels', 'dies', 'excused_but_runs', 'fails', 'takes_too_long'])
        self.assertIn('one is not two', output)
        self.assertIn('\n1 passed, 5 failed, 1 skipped\n', output)
        log = self.directory / 'kinds.py:Kinds.test_passes' / 'debug.log'
        self.assertIn('seen', log.read_text())

    def test_one(self):
        good, one, _ = self.run_tests(f'{self.file}:Kinds.test_passes')
        self.assertTrue(good)
        self.assertEqual(self.names(one.passed), ['passes'])

    def test_none(self):
        for argument in (f'{self.file}:Kinds.test_nothing', 'nowhere.py'):
            with self.assertRaises(Failure):
                runner.load(argument)


if __name__ == '__main__':
    unittest.main()
