# SPDX-License-Identifier: GPL-2.0-or-later
"""scripts/check stock: what counts as a difference."""

import json
import tempfile
import unittest
from pathlib import Path

from workbench.commands import check_stock as stock


def log(**found: str) -> str:
    return ''.join(
        json.dumps({'name': f'qemu:qtest / {name}', 'result': result}) + '\n'
        for name, result in found.items())


class Results(unittest.TestCase):

    def test_names(self):
        """A test is known by its own name, not by its suites."""
        self.assertEqual(stock.results(log(a='OK', b='FAIL')),
                         {'a': 'OK', 'b': 'FAIL'})

    def test_runs(self):
        """What meson writes is read, whatever its exit status is."""
        with tempfile.TemporaryDirectory() as name:
            build = Path(name)
            meson = build / 'pyvenv' / 'bin' / 'meson'
            meson.parent.mkdir(parents=True)
            (build / 'meson-logs').mkdir()
            meson.write_text('#!/bin/sh\n'
                             f"printf %s '{log(a='TIMEOUT')}' "
                             '>meson-logs/stock.json\nexit 1\n')
            meson.chmod(0o755)
            self.assertEqual(stock.meson_test(build), {'a': 'TIMEOUT'})


class Different(unittest.TestCase):

    def test_worse(self):
        self.assertEqual(
            stock.different({'a': 'OK', 'b': 'OK', 'c': 'OK'},
                            {'a': 'OK', 'b': 'FAIL', 'c': 'SKIP'}),
            ['b', 'c'])

    def test_not_there(self):
        """A test that the series takes away is a difference."""
        self.assertEqual(stock.different({'a': 'OK'}, {}), ['a'])

    def test_not_better(self):
        """What fails without the series is no fault of it."""
        self.assertEqual(stock.different({'a': 'FAIL', 'b': 'SKIP'},
                                         {'a': 'FAIL', 'new': 'OK'}), [])
