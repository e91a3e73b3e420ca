# SPDX-License-Identifier: GPL-2.0-or-later
"""Explicit and implicit conversion, on real KVM; contents stay apart."""

from workbench.avocado import GuestTest

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Conversion(GuestTest):

    def check(self, how, size, stride=4 * KIB, memory='256M'):
        guest = self.guest('convert', memory=memory, parameters={
            'how': how, 'size': size, 'stride': stride})
        self.passes(guest)
        done = self.conversions(guest)
        exits = {(conversion.exit, conversion.to_private)
                 for conversion in done}
        self.assertIn(('KVM_EXIT_HYPERCALL', True), exits)
        self.assertIn(('KVM_EXIT_HYPERCALL', False), exits)
        if how == 'implicit':
            self.assertIn(('KVM_EXIT_MEMORY_FAULT', True), exits)
            self.assertIn(('KVM_EXIT_MEMORY_FAULT', False), exits)
        else:
            whole = [conversion for conversion in done
                     if conversion.size == size]
            self.assertEqual(len(whole), len(done), done)

    def test_explicit_4k(self):
        self.check('explicit', 4 * KIB)

    def test_explicit_2m(self):
        self.check('explicit', 2 * MIB)

    def test_explicit_1g(self):
        self.check('explicit', 1 * GIB, stride=64 * KIB, memory='2304M')

    def test_implicit_4k(self):
        self.needs_intent()
        self.check('implicit', 4 * KIB)

    def test_implicit_2m(self):
        self.needs_intent()
        self.check('implicit', 2 * MIB)

    def test_implicit_1g(self):
        """One page of each 2 MiB: KVM reports a fault for a page."""
        self.needs_intent()
        self.check('implicit', 1 * GIB, stride=2 * MIB, memory='2304M')

    def test_fault_flags(self):
        """KVM_EXIT_MEMORY_FAULT is seen with both values of the flag."""
        self.needs_intent()
        guest = self.guest('convert', parameters={'how': 'implicit'})
        self.passes(guest)
        faults = {conversion.flags: conversion.to_private
                  for conversion in self.conversions(guest)
                  if conversion.exit == 'KVM_EXIT_MEMORY_FAULT'}
        self.assertEqual(faults, {0x8: True, 0x0: False})


class Library(GuestTest):
    """The payloads' own library and what KVM answers by itself."""

    def test_selftest(self):
        self.passes(self.guest('selftest', cpus=4))

    def test_selftest_pc(self):
        self.passes(self.guest('selftest', machine='pc', cpus=2))

    def test_selftest_split_irqchip(self):
        self.passes(self.guest('selftest', cpus=2,
                               machine='q35,kernel-irqchip=split'))

    def test_selftest_ordinary_vm(self):
        self.passes(self.guest('selftest', cpus=2, protected=False))

    def test_hypercall(self):
        self.passes(self.guest('hypercall'))
