# SPDX-License-Identifier: GPL-2.0-or-later
"""What a software-protected VM cannot have is refused in one line."""


from workbench.guest.avocado import GuestTest

PROTECTED = ('-object', 'sw-protected-vm,id=cgs0')
# What QEMU adds to each failure of this kind
ANY_KVM_FAILURE = 'failed to initialize kvm: Invalid argument'


class Refusals(GuestTest):

    def refused(self, message, *arguments):
        """QEMU must end by itself, with `message` and nothing that hides it."""
        text = self.refusal(*PROTECTED, *arguments)
        lines = [line for line in text.strip().splitlines()
                 if not line.endswith(ANY_KVM_FAILURE)]
        self.assertEqual(len(lines), 1, text)
        self.assertTrue(lines[0].endswith(message), lines[0])

    def test_smm(self):
        self.refused(
            'sw-protected-vm: KVM has no SMM for VMs with private memory; '
            'use -machine smm=off', '-accel', 'kvm',
            '-machine', 'q35,smm=on,confidential-guest-support=cgs0')

    def test_tcg(self):
        self.refused(
            'cannot set up private guest memory for sw-protected-vm: '
            'KVM required', '-accel', 'tcg',
            '-machine', 'q35,confidential-guest-support=cgs0')

    def test_machine_none(self):
        self.refused(
            'sw-protected-vm: private memory needs a PC; use -machine q35',
            '-accel', 'kvm', '-machine', 'none,confidential-guest-support=cgs0')

    def test_smm_becomes_off(self):
        """smm=auto, the default, is off: CPUs have no SMM address space."""
        guest = self.guest('isolation')
        guest.launch()
        self.assertEqual(
            guest.cmd('qom-get', path='/machine', property='smm'), 'off')
