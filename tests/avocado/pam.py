# SPDX-License-Identifier: GPL-2.0-or-later
"""What the host does while RAM and ROM change places, on real KVM."""

from workbench.guest.avocado import GuestTest


class Pam(GuestTest):

    def test_dirty_logging(self):
        """
        To log writes, which KVM does not for memory with a private half, is
        nothing that QEMU ends of; also if memslots change meanwhile.
        """
        guest = self.guest('pam', cpus=2)
        guest.launch()
        guest.cmd('calc-dirty-rate', calc_time=2, mode='dirty-bitmap')
        self.check_report(guest.finish())


class SnpPam(Pam):
    vm_type = 'sev-snp'
