# SPDX-License-Identifier: GPL-2.0-or-later
"""
An SMI on a machine without system management mode.

KVM delivers it or not.  If it does, it cannot enter the mode, and refuses to do
anything for the VM from then on.  That is the end of the guest, but not of QEMU.
"""

from workbench.guest.avocado import GuestTest


class Smi(GuestTest):

    machine = 'q35'

    def test_ipi(self):
        """If the VM stops, the monitor answers."""
        guest = self.guest('smi', machine=self.machine)
        guest.launch()
        try:
            report = guest.finish()
        except RuntimeError as stopped:
            self.assertIn('internal-error', str(stopped))
        else:
            # Some KVMs ignore it if the VM is of type SEV-SNP
            self.check_report(report)
            return
        self.assertIn('EIP=', guest.cmd('human-monitor-command',
                                        command_line='info registers'))
        guest.cmd('quit')
        guest.wait()
        log = guest.get_log()
        self.assertEqual(log.count('Failed to synchronize CPU state'),
                         int(self.vm_type != 'sev-snp'), log)


class OrdinarySmi(Smi):

    vm_type = 'ordinary'
    machine = 'q35,smm=off'

    def test_reset(self):
        """A reset does not help, but does not end QEMU either."""
        guest = self.guest('smi', machine=self.machine)
        guest.launch()
        with self.assertRaisesRegex(RuntimeError, 'internal-error'):
            guest.finish()
        guest.cmd('set-action', reboot='reset')
        guest.cmd('system_reset')
        self.assertIsNotNone(guest.event_wait('RESET', timeout=60))
        guest.cmd('cont')
        self.assertIsNotNone(guest.event_wait('RESUME', timeout=60))
        self.assertIsNotNone(guest.event_wait('STOP', timeout=60))
        self.assertEqual(guest.cmd('query-status')['status'],
                         'internal-error')
        guest.cmd('quit')
        guest.wait()


class SnpSmi(Smi):

    vm_type = 'sev-snp'
