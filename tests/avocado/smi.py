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


class SnpSmi(Smi):

    vm_type = 'sev-snp'
