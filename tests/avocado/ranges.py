# SPDX-License-Identifier: GPL-2.0-or-later
"""Ranges that cannot be converted, or not in one piece, on real KVM."""

from workbench.avocado import GuestTest

FAULT_EVENT = 'PRIVATE_MEMORY_FAULT'


class Ranges(GuestTest):

    def test_errors(self):
        """Bad ranges are an error for the guest, which runs on."""
        self.passes(self.guest('errors'))

    def test_errors_pc(self):
        self.passes(self.guest('errors', machine='pc'))

    def test_mixed(self):
        """Pages that already are as asked for keep their contents."""
        self.passes(self.guest('mixed'))

    def test_numa(self):
        """A range that crosses backends, one of them as a whole."""
        arguments = []
        for node, size in enumerate(('128M', '2M', '126M')):
            arguments += [
                '-object', f'memory-backend-ram,id=ram{node},size={size}',
                '-numa', f'node,memdev=ram{node}']
        self.passes(self.guest('mixed', arguments=arguments, parameters={
            'base': '127M', 'size': '4M'}))

    def test_ordinary_vm(self):
        """Without private memory KVM does not even forward the hypercall."""
        self.passes(self.guest('hypercall', protected=False,
                               parameters={'enabled': 0}))

    def test_impossible_accesses(self):
        """
        A private access to what cannot be private stops the VM, with a reason.

        QEMU must not try for ever, although another CPU converts memory all
        the while.  It stays usable, and so is the VM after a reset.
        """
        self.needs_intent()
        guest = self.guest('faults', cpus=2, reboot=True)
        guest.launch()
        seen = 0
        for target, gpa in (('hole', 0x20000000), ('mmio', 0xfed00000),
                            ('rom', 0xd0000)):
            seen = guest.wait_for_line(f'# touching {target}', seen).end()
            stop = guest.event_wait('STOP', timeout=30.0)
            self.assertIsNotNone(stop)
            self.assertEqual(guest.cmd('query-status')['status'],
                             'internal-error')
            fault = guest.event_wait(FAULT_EVENT, timeout=10.0)
            self.assertEqual(fault['data']['gpa'], gpa)
            guest.cmd('system_reset')
            guest.cmd('cont')
        self.check_boots(guest, 4)
