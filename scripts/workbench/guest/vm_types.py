# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of VM on which guest tests run: a type is an entry here."""

from dataclasses import dataclass

from ..machine import kvm


@dataclass(frozen=True)
class VmType:
    """How QEMU is told to make a VM of this type."""
    arguments: tuple[str, ...]
    machine: str            # properties of the machine, after a comma
    kvm_type: int = 0       # KVM's number of it
    # What the test kernel is told, to offer this type and not others
    kernel_parameter: str = ''
    has_c_bit: bool = False
    # Pages have two addresses, which only some payloads know
    has_two_addresses: bool = False

    @property
    def private(self) -> bool:
        """Whether it has private memory."""
        return 'confidential-guest-support' in self.machine

    @property
    def runs_all(self) -> bool:
        """Whether tests that do not name their types run on it."""
        return self.private and not self.has_two_addresses

    def offered(self) -> bool:
        """Whether this machine's KVM has it."""
        return bool(kvm.check_extension(kvm.CAP_VM_TYPES) & 1 << self.kvm_type)


VM_TYPES = {
    'sw-protected': VmType(('-object', 'sw-protected-vm,id=cgs0'),
                           ',confidential-guest-support=cgs0', 1),
    # The emulated CPU has no SEV, so it has no C-bit either
    'sev-snp': VmType(('-object', 'sev-snp-guest,id=cgs0,cbitpos=0,'
                       'reduced-phys-bits=1'),
                      ',confidential-guest-support=cgs0', 4,
                      kvm.SOFT_SNP),
    # Here it has
    'sev-snp-c-bit': VmType(('-object', 'sev-snp-guest,id=cgs0,cbitpos=51,'
                             'reduced-phys-bits=1'),
                            ',confidential-guest-support=cgs0', 4,
                            kvm.SOFT_SNP_C_BIT, has_c_bit=True,
                            has_two_addresses=True),
    # What a payload loses it sees as zeros, the VM does not end
    'tdx': VmType(('-cpu', 'host',
                   '-object', 'tdx-guest,id=cgs0,sept-ve-disable=off'),
                  ',confidential-guest-support=cgs0', 5, kvm.SOFT_TDX,
                  has_two_addresses=True),
    'ordinary': VmType((), ''),
}
