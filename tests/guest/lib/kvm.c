/*
 * Guest payload library: KVM's hypercalls, explicit conversion
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define CPUID_HYPERVISOR 0x40000000
#define CPUID_HYPERVISOR_END 0x40010000
#define CPUID_HYPERVISOR_STEP 0x100
#define CPUID_ECX_HYPERVISOR (1u << 31)

/* The text that CPUID leaves return in ebx, edx, ecx or ebx, ecx, edx */
static bool is_text(const char *text, uint32_t a, uint32_t b, uint32_t c)
{
    const uint32_t regs[3] = { a, b, c };

    return !memcmp(regs, text, sizeof(regs));
}

/*
 * First CPUID leaf of KVM, or 0. Another hypervisor's leaves, such as Hyper-V
 * enlightenments, may come before.
 */
static uint32_t kvm_leaf(void)
{
    static uint32_t cached;
    static bool known;
    uint32_t leaf;

    if (known || !(cpuid(1, 0).ecx & CPUID_ECX_HYPERVISOR)) {
        return cached;
    }
    for (leaf = CPUID_HYPERVISOR; leaf < CPUID_HYPERVISOR_END;
         leaf += CPUID_HYPERVISOR_STEP) {
        CpuidResult r = cpuid(leaf, 0);

        if (is_text("KVMKVMKVM\0\0", r.ebx, r.ecx, r.edx)) {
            cached = leaf;
            break;
        }
    }
    known = true;
    return cached;
}

bool kvm_present(void)
{
    return kvm_leaf();
}

bool kvm_has_feature(unsigned bit)
{
    uint32_t leaf = kvm_leaf();

    return leaf && (cpuid(leaf + 1, 0).eax & (1u << bit));
}

static bool uses_vmmcall(void)
{
    CpuidResult r = cpuid(0, 0);

    return is_text("AuthenticAMD", r.ebx, r.edx, r.ecx) ||
           is_text("HygonGenuine", r.ebx, r.edx, r.ecx);
}

long kvm_hypercall(uint64_t nr, uint64_t a0, uint64_t a1, uint64_t a2)
{
    static enum { UNKNOWN, NONE, VMMCALL, VMCALL } how;
    long ret = nr;

    if (how == UNKNOWN) {
        how = !kvm_present() ? NONE : uses_vmmcall() ? VMMCALL : VMCALL;
    }
    switch (how) {
    case VMMCALL:
        asm volatile("vmmcall"
                     : "+a"(ret) : "b"(a0), "c"(a1), "d"(a2) : "memory");
        return ret;
    case VMCALL:
        asm volatile("vmcall"
                     : "+a"(ret) : "b"(a0), "c"(a1), "d"(a2) : "memory");
        return ret;
    default:
        return -KVM_ENOSYS;
    }
}

long hypercall_map_gpa_range(uint64_t gpa, uint64_t npages, uint64_t attrs)
{
    return kvm_hypercall(KVM_HC_MAP_GPA_RANGE, gpa, npages, attrs);
}

static long tdx_convert(uint64_t gpa, uint64_t size, bool to_private)
{
    uint64_t end = gpa + size;

    if (tdx_map_gpa(gpa, size, to_private, NULL)) {
        return -KVM_EINVAL;
    }
    for (; to_private && gpa < end; gpa += PAGE_SIZE) {
        uint64_t error = tdx_accept(gpa);

        if (error && error != TDX_PAGE_ALREADY_ACCEPTED) {
            return -KVM_EINVAL;
        }
    }
    return 0;
}

long convert(uint64_t gpa, uint64_t size, bool to_private)
{
    if (tdx_present()) {
        return tdx_convert(gpa, size, to_private);
    }
    if (snp_present()) {
        bool failed = size == PAGE_SIZE ? ghcb_msr_convert(gpa, to_private)
                                        : ghcb_convert_range(gpa, size,
                                                             to_private);

        return failed ? -KVM_EINVAL : 0;
    }
    return hypercall_map_gpa_range(gpa, size / PAGE_SIZE, MAP_GPA_PAGE_4K |
                                   (to_private ? MAP_GPA_PRIVATE
                                               : MAP_GPA_SHARED));
}
