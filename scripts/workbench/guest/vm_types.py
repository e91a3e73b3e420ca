# SPDX-License-Identifier: GPL-2.0-or-later
"""The types of VM on which guest tests run: a type is an entry here."""

from dataclasses import dataclass


@dataclass(frozen=True)
class VmType:
    """How QEMU is told to make a VM of this type."""
    arguments: tuple[str, ...]
    machine: str            # properties of the machine, after a comma

    @property
    def private(self) -> bool:
        """Whether it has private memory."""
        return 'confidential-guest-support' in self.machine


VM_TYPES = {
    'sw-protected': VmType(('-object', 'sw-protected-vm,id=cgs0'),
                           ',confidential-guest-support=cgs0'),
    'ordinary': VmType((), ''),
}
