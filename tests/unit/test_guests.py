# SPDX-License-Identifier: GPL-2.0-or-later
"""guests.cfg is right, and what is wrong in such a file is refused."""

import unittest

from workbench.base.paths import REPO
from workbench.base.steps import Failure
from workbench.guest import guests
from workbench.guest.vm_types import VM_TYPES

PAYLOADS = {'mixed', 'storm'}
PROGRAMS = {'tests/storm.py'}
STORM = '[storm]\nrun-by = tests/storm.py\n'


def read(text):
    return guests.read(text + STORM, PAYLOADS, PROGRAMS)


class Guests(unittest.TestCase):

    def refused(self, text, message):
        with self.assertRaisesRegex(Failure, message):
            read(text)

    def test_ours(self):
        """The file itself is good, and programs run what is left to them."""
        found = guests.sections()
        self.assertGreater(len(found), 50)
        for section in found:
            if section.run_by:
                self.assertRegex((REPO / section.run_by).read_text(),
                                 rf"[ ('/]{section.payload}(\.bin)?'")
            else:
                self.assertTrue(any(map(section.runs_on, VM_TYPES)))

    def test_all_keys(self):
        section, _ = read('''
[mixed]
payload = mixed
vm-types = sw-protected ordinary
needs = device mapped-guest-memfd
machine = pc
memory = 64M,slots=1
backends =
    memory-backend-ram,size=32M
    memory-backend-ram,size=32M,share=on
cpus = 2
parameters = base=16M how='x y'
arguments = -object '{"a": 1}'
    -device edu
file = 16M 0x10
steps = one two
limit = 10
ends = no
lines =
    a b  c
    d=.*
events = SOME text=word number=3 yes=true
counted = anon file
used =
    one: 1K..
    *: -2..3G since one
    peak: ..3M
trace = yes
exits = hypercall:private fault-0x8:shared
sizes = 4K 2M
refused-accesses = none
iommu-faults = yes
replay = yes
''')
        self.assertEqual(section, guests.Section(
            'mixed', 'mixed', vm_types=('sw-protected', 'ordinary'),
            needs=('device', 'mapped-guest-memfd'), machine='pc',
            memory='64M,slots=1', backends=(
                'memory-backend-ram,size=32M',
                'memory-backend-ram,size=32M,share=on'),
            cpus=2, parameters=(('base', '16M'), ('how', 'x y')),
            arguments=('-object', '{"a": 1}', '-device', 'edu'),
            file=(16 << 20, 16), steps=('one', 'two'), limit=10, ends=False,
            lines=('a b  c', 'd=.*'),
            events=(guests.Event('SOME', {'text': 'word', 'number': 3,
                                          'yes': True}),),
            counted=('anon', 'file'),
            used=(guests.Used('one', 1024, None, None),
                  guests.Used('*', -2, 3 << 30, 'one'),
                  guests.Used('peak', None, 3 << 20, None)),
            exits=frozenset(('hypercall:private', 'fault-0x8:shared')),
            sizes=frozenset((4096, 2 << 20)), refused_accesses=(),
            iommu_faults=True, replay=True))

    def test_like(self):
        one, other, _ = read('[mixed]\ncpus = 3\nlimit = 9\n'
                             '[a-b2]\nlike = mixed\nlimit = 8\n')
        self.assertEqual((one.limit, other.limit, other.cpus), (9, 8, 3))
        self.assertEqual((other.payload, other.method), ('mixed', 'test_a_b2'))

    def test_vm_types(self):
        """All are those that have private memory, and no C-bit."""
        section, _ = read('[mixed]\n')
        self.assertEqual([name for name in VM_TYPES if section.runs_on(name)],
                         ['sw-protected', 'sev-snp'])
        section, _ = read('[mixed]\nvm-types = ordinary\n')
        self.assertEqual([name for name in VM_TYPES if section.runs_on(name)],
                         ['ordinary'])

    def test_wrong_sections(self):
        self.refused('', 'no section for payload mixed')
        self.refused('[mixed]\n[other]\n', 'no payload other.c')
        self.refused('[mixed]\n[Mixed-2]\npayload = mixed\n', 'small letters')
        self.refused('[mixed]\n[mixed]\n', 'already exists')
        self.refused('[mixed]\ncpus = 1\ncpus = 2\n', 'already exists')
        self.refused('cpus = 1\n[mixed]\n', 'no section headers')
        self.refused('[mixed]\ncpus\n', 'parsing errors')
        self.refused('[mixed]\n[a]\nlike = b\n', 'no such other section')
        self.refused('[mixed]\nlike = a\n[a]\nlike = mixed\n',
                     'no such other section')

    def test_run_by_is_alone(self):
        self.refused('[mixed]\ncpus = 2\nrun-by = tests/storm.py\n',
                     'other keys')
        self.refused('[mixed]\n[other]\nlike = storm\n', 'other keys')

    def test_wrong_keys(self):
        self.refused('[mixed]\nmemmory = 1G\n', 'there is no key memmory')
        self.refused('[mixed]\nCpus = 1\n', 'there is no key Cpus')

    def test_wrong_values(self):
        for line in (
                'cpus = many', 'cpus = 0', 'limit = -1', 'trace = maybe',
                'vm-types = sev', 'vm-types = all ordinary', 'vm-types =',
                'needs = luck', 'counted = pages', 'ends =', 'machine = a b',
                'iommu-faults = 3', 'exits = hypercall',
                'exits = fault:private', 'exits =', 'sizes = 4X', 'file = 1M',
                'file = 1M zero',
                'parameters = base', 'parameters = =1', 'events = SOME word',
                'lines =', 'lines = (', 'arguments = "', 'steps =',
                'refused-accesses =', 'replay = 1', 'memory =', 'payload =',
                'used = start 1..2', 'used = start: ..', 'used = start: 1..X'):
            with self.subTest(line):
                self.refused(f'[mixed]\nsteps = start\n{line}\n'.replace(
                    'steps = start\nsteps', 'steps'), r'\[mixed\]: ')

    def test_what_cannot_be_meant(self):
        self.refused('[mixed]\nused = start: 1..2\n', 'no step start')
        for line in ('used = on: 1..2 since off', 'used = *: 1..2',
                     'used = *: 1..2 since on',
                     'vm-types = ordinary\nneeds = intent', 'ends = no', 'run-by = none.py',
                     'trace = no\nreplay = yes', 'trace = no\nsizes = 4K',
                     'trace = no\nrefused-accesses = none'):
            with self.subTest(line):
                self.refused(f'[mixed]\nsteps = on\n{line}\n', r'\[mixed\]: ')


if __name__ == '__main__':
    unittest.main()
