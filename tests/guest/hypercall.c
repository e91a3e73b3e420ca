/*
 * Guest payload: arguments of KVM_HC_MAP_GPA_RANGE that KVM itself refuses
 *
 * QEMU never sees these. Source: KVM API documentation, x86/hypercalls.rst,
 * and kvm_emulate_hypercall() in arch/x86/kvm/x86.c of Linux 6.12.
 *
 * Parameter:
 *   enabled   whether QEMU has enabled exits for the hypercall, that is whether
 *             the VM has private memory: 1 (default) or 0
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define GPA (16 * MIB)
#define LAST_PAGE (~0ULL - PAGE_SIZE + 1)
#define PATTERN 0x5ec2e7
#define UNKNOWN_HYPERCALL 0x7fff

static const struct {
    const char *name;
    uint64_t gpa;
    uint64_t npages;
} refused[] = {
    { "gpa off by one byte", GPA + 1, 1 },
    { "gpa off by half a page", GPA + PAGE_SIZE / 2, 1 },
    { "gpa off by one byte downwards", GPA - 1, 1 },
    { "highest gpa there is", ~0ULL, 1 },
    { "no pages", GPA, 0 },
    { "no pages at 0", 0, 0 },
    { "no pages, gpa off by one byte", GPA + 1, 0 },
    { "page number wraps to itself minus 1", GPA, ~0ULL },
    { "page number wraps to 0", GPA, -(GPA / PAGE_SIZE) },
    { "page number of the last page wraps", LAST_PAGE, ~0ULL },
};

int main(void)
{
    bool enabled = param_u64("enabled", 1);
    long expected = enabled ? -KVM_EINVAL : -KVM_ENOSYS;
    unsigned i;

    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    assert(memory_is_usable(GPA, PAGE_SIZE));
    tap_comment("feature is %sadvertised",
                kvm_has_feature(KVM_FEATURE_HC_MAP_GPA_RANGE) ? "" : "not ");

    tap_is(convert(GPA, PAGE_SIZE, false), enabled ? 0 : -KVM_ENOSYS,
           "a good one, to shared");
    gpa_write64(GPA, PATTERN);
    for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        tap_is(hypercall_map_gpa_range(refused[i].gpa, refused[i].npages,
                                       MAP_GPA_PRIVATE),
               expected, "%s, to private", refused[i].name);
        tap_is(hypercall_map_gpa_range(refused[i].gpa, refused[i].npages,
                                       MAP_GPA_SHARED),
               expected, "%s, to shared", refused[i].name);
    }
    tap_is(kvm_hypercall(UNKNOWN_HYPERCALL, 0, 0, 0), -KVM_ENOSYS,
           "hypercall that does not exist");
    tap_is(gpa_read64(GPA), PATTERN, "contents are left alone");
    return tap_done();
}
