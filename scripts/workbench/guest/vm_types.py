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

    @property
    def private(self) -> bool:
        """Whether it has private memory."""
        return 'confidential-guest-support' in self.machine

    def offered(self) -> bool:
        """Whether this machine's KVM has it."""
        return bool(kvm.check_extension(kvm.CAP_VM_TYPES) & 1 << self.kvm_type)


VM_TYPES = {
    'sw-protected': VmType(('-object', 'sw-protected-vm,id=cgs0'),
                           ',confidential-guest-support=cgs0', 1),
    # The emulated CPU has no SEV, so it has no C-bit either
    'sev-snp': VmType(('-object', 'sev-snp-guest,id=cgs0,cbitpos=0,'
                       'reduced-phys-bits=1'),
                      ',confidential-guest-support=cgs0', 4),
    'ordinary': VmType((), ''),
}
