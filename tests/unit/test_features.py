# SPDX-License-Identifier: GPL-2.0-or-later
"""README.rst's table of what works says what tests show."""

import subprocess
import unittest
from unittest import mock

from workbench.base.paths import REPO
from workbench.base.steps import Failure
from workbench.check import features
from workbench.guest.groups import CANCELLED

GOOD = '''
[one (of two)]
software-protected = tested
    a.py:A.test_a
    b.py:B.test_b
SEV-SNP = refused
    a.py:Snp.test_a
TDX = no: nobody has it
qtest = tested
    a-test:/a
'''
SOURCE = '''
static void test_a(void)
{
}

static void test_b(gconstpointer data)
{
    if (data) {
        g_test_skip("no b");
    }
}

int main(int argc, char **argv)
{
    qtest_add_func("/x/a", test_a);
    qtest_add_data_func("/x/b", "b",
                        test_b);
    g_test_add_func("/x/c", test_a);
}
'''


class Table(unittest.TestCase):

    def test_cells(self):
        (name, row), = features.read(GOOD).items()
        self.assertEqual(name, 'one (of two)')
        self.assertEqual(row['software-protected'],
                         features.Cell('tested', ('a.py:A.test_a',
                                                  'b.py:B.test_b')))
        self.assertEqual(row['TDX'], features.Cell('no', ()))

    def test_wrong(self):
        for old, new, said in (
                ('refused', 'partly', 'SEV-SNP: partly is none of tested'),
                ('no: nobody has it', 'no', 'TDX: say why: no: WHY'),
                ('no: nobody has it', 'no: so\n a.py:A.test_a', 'say why'),
                ('    a-test:/a\n', '', 'qtest: after tested come tests'),
                ('TDX', 'CCA', 'the columns are'),
                ('[one', 'one', 'no section headers')):
            with self.subTest(new), self.assertRaisesRegex(Failure, said):
                features.read(GOOD.replace(old, new))

    def test_page(self):
        """Nothing else of it is changed, and it must have one."""
        table = features.made(features.read(GOOD))
        self.assertIn('\none (of two)  tested              refused  no   '
                      'tested\n', table)
        page = f'a\n\n{features.COMMENT}\n\n===\nold\n===\n\nb\n'
        self.assertEqual(features.replaced(page, table), f'a\n\n{table}\nb\n')
        for wrong in ('a\n', page + page):
            with self.assertRaises(Failure):
                features.replaced(wrong, table)

    def findings(self, text):
        page = f'{features.COMMENT}\n\n{"=" * 3}\n'
        with mock.patch.object(features, 'FILE') as file, \
                mock.patch.object(features, 'README') as readme, \
                mock.patch.object(features, 'runs', lambda test, column:
                                  test.startswith('a') or column == 'TDX'):
            file.name, readme.name = 'features.cfg', 'README.rst'
            file.read_text.return_value = text
            readme.read_text.return_value = page
            differs = features.findings()
            readme.read_text.return_value = features.made(features.read(text))
            return differs, features.findings()

    def test_findings(self):
        differs, others = self.findings(GOOD)
        self.assertEqual(others, [
            'features.cfg: [one (of two)]: software-protected: scripts/check '
            'does not run b.py:B.test_b there, or may skip it'])
        self.assertEqual(len(differs), 2)
        self.assertIn('run scripts/build features', differs[1])


class Tests(unittest.TestCase):
    """What scripts/check runs."""

    def test_skipped(self):
        self.assertEqual(features.skipped(SOURCE), {'/x/b'})
        self.assertEqual(features.skipped(SOURCE.replace('test_b', 'test_a')),
                         {'/x/a', '/x/b', '/x/c'})
        # By a function that some tests call
        self.assertIsNone(features.skipped(SOURCE.replace(
            'test_b(', 'helper(').replace('test_b', 'test_a')))

    def test_columns(self):
        """On that type of VM, at each run, and not cancelled."""
        for test, column, there in (
                ('guests.py:SevSnp.test_snp', 'SEV-SNP', True),
                ('guests.py:SevSnp.test_snp', 'software-protected', False),
                ('guests.py:SevSnp.test_snp', 'qtest', False),
                ('guests.py:SevSnpCBit.test_c_bit', 'SEV-SNP', True),
                ('guests.py:Tdx.test_tdx', 'TDX', True),
                ('guests.py:Tdx.test_nothing', 'TDX', False),
                ('monitor.py:Monitor.test_storm', 'software-protected', True),
                ('monitor.py:SnpMonitor.test_storm', 'SEV-SNP', False),
                ('guest_memfd.py:GuestMemfd.test_linux', 'software-protected',
                 True),
                ('test_deb.py:Packages.test_removal', 'software-protected',
                 True),
                ('memfd-private-test:/memfd-private/properties', 'qtest',
                 True),
                ('memfd-private-test:/memfd-private/nothing', 'qtest', False),
                ('test-range-lock:/range-lock/fair', 'qtest', True),
                ('test-nothing:/range-lock/fair', 'qtest', False)):
            with self.subTest(test, column=column):
                self.assertEqual(features.runs(test, column), there)

    def test_cancelled(self):
        """A test that a kernel cannot run is not among those of the list."""
        test = 'guest_memfd.py:GuestMemfd.test_linux'
        self.assertIn(f'lts | {test} | ', CANCELLED.read_text())
        for kernel in ('lts', 'new'):
            said = subprocess.run(
                [REPO / 'scripts' / 'check', 'guest', '--kernel', kernel,
                 '--list', REPO / 'tests' / 'avocado' / 'guest_memfd.py'],
                check=True, text=True, capture_output=True).stdout
            self.assertEqual(test in said.split(), kernel == 'new')


if __name__ == '__main__':
    unittest.main()
