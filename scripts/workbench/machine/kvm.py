# SPDX-License-Identifier: GPL-2.0-or-later
"""What KVM says of itself."""

import fcntl

CHECK_EXTENSION = 0xae03
CAP_VM_TYPES = 235
CAP_GUEST_MEMFD_FLAGS = 244

# What tells the test kernel to offer SEV-SNP, and to take the CPU's C-bit
SOFT_SNP = 'kvm_amd.soft_snp=1'
SOFT_SNP_C_BIT = 'kvm_amd.soft_snp=2'
# And what tells it to offer TDX
SOFT_TDX = 'kvm_amd.soft_tdx=1'


def check_extension(capability: int) -> int:
    """KVM_CHECK_EXTENSION; OSError if there is no KVM to ask."""
    with open('/dev/kvm', 'rb+', buffering=0) as kvm:
        return fcntl.ioctl(kvm, CHECK_EXTENSION, capability)
