/*
 * Guest payload library: KVM's hypercalls, explicit conversion
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_KVM_H
#define GUEST_KVM_H

#include <stdbool.h>
#include <stdint.h>

/* Source: include/uapi/linux/kvm_para.h of Linux */
#define KVM_HC_MAP_GPA_RANGE 12
#define KVM_FEATURE_HC_MAP_GPA_RANGE 16
#define KVM_EFAULT 14
#define KVM_EINVAL 22
#define KVM_EOPNOTSUPP 95
#define KVM_ENOSYS 1000

/* Attributes of KVM_HC_MAP_GPA_RANGE: preferred page size, and state */
#define MAP_GPA_PAGE_4K 0
#define MAP_GPA_PAGE_2M 1
#define MAP_GPA_PAGE_1G 2
#define MAP_GPA_SHARED (0 << 4)
#define MAP_GPA_PRIVATE (1 << 4)

/**
 * kvm_present: whether the hypervisor is KVM
 *
 * Source: KVM API documentation, x86/cpuid.rst, signature "KVMKVMKVM".
 */
bool kvm_present(void);

/**
 * kvm_has_feature: whether KVM advertises a feature of leaf 0x40000001
 *
 * KVM_FEATURE_HC_MAP_GPA_RANGE is up to QEMU, and the hypercall may well work
 * although it is not advertised.
 *
 * @bit: number of the feature, 0 to 31
 */
bool kvm_has_feature(unsigned bit);

/**
 * kvm_hypercall: call KVM
 *
 * By "vmmcall" on CPUs of AMD and Hygon, and "vmcall" on others: KVM would
 * patch the wrong one in the code.
 * Source: KVM API documentation, x86/hypercalls.rst.
 *
 * @nr: number of the hypercall
 * @a0: first argument, in rbx
 * @a1: second argument, in rcx
 * @a2: third argument, in rdx
 *
 * Returns: what KVM does, usually 0 or a negative KVM_E*; -KVM_ENOSYS if this
 * is not KVM.
 */
long kvm_hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2);

/**
 * hypercall_map_gpa_range: ask for a conversion, with any arguments at all
 *
 * Source: KVM API documentation, x86/hypercalls.rst, KVM_HC_MAP_GPA_RANGE.
 *
 * @gpa: guest-physical address
 * @npages: how many pages of 4 KiB, whatever the preferred page size
 * @attrs: MAP_GPA_*
 *
 * Returns: 0, or a negative KVM_E*.
 */
long hypercall_map_gpa_range(uint64_t gpa, uint64_t npages, uint64_t attrs);

/**
 * convert: convert memory explicitly, by one hypercall; under SEV-SNP by lists of
 * page state changes, under TDX by MapGPA and ACCEPT
 *
 * Contents are lost. Conversion to the state that it has already does nothing.
 * Under SEV-SNP and TDX all errors are -KVM_EINVAL, and a part of the range may have been
 * converted then.
 *
 * @gpa: guest-physical address, page-aligned
 * @size: bytes, page-aligned
 * @to_private: new state, private or shared
 *
 * Returns: 0, or a negative KVM_E*.
 */
long convert(uint64_t gpa, uint64_t size, bool to_private);

#endif /* GUEST_KVM_H */
