/*
 * Guest payload: conversions of an SEV-SNP guest
 *
 * All memory is private at first, and a page's two halves are never seen in
 * place of each other. A private page that has been shared has other contents
 * afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "snp-metadata.h"

#define HOLE (40 * GIB)         /* nobody gives this guest so much memory */

enum { PRIVATE_STAMP = 1, SHARED_STAMP, AGAIN_STAMP };

static uint64_t base, size;

static bool all_have(uint64_t stamp)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        if (!page_has(gpa, stamp)) {
            tap_comment("0x%lx has not: 0x%lx", gpa, gpa_read64(gpa));
            return false;
        }
    }
    return true;
}

static bool none_has(uint64_t stamp)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        if (page_has(gpa, stamp)) {
            tap_comment("0x%lx has", gpa);
            return false;
        }
    }
    return true;
}

static void stamp_all(uint64_t stamp)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        page_stamp(gpa, stamp);
    }
}

static uint64_t convert_by_msr(bool to_private)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        uint32_t error = ghcb_msr_convert(gpa, to_private);

        if (error) {
            return error;
        }
    }
    return 0;
}

static uint64_t convert_by_list(bool to_private)
{
    return ghcb_convert_range(base, size, to_private);
}

static uint64_t convert_by_access(bool to_private)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        if (to_private) {
            touch_private(gpa_to_ptr(gpa));
        } else {
            touch_shared(gpa_to_ptr(gpa));
        }
    }
    return 0;
}

static void check(const char *how, uint64_t (*convert_all)(bool to_private))
{
    stamp_all(PRIVATE_STAMP);
    tap_ok(all_have(PRIVATE_STAMP), "%s: private memory keeps contents", how);
    tap_is(convert_all(false), 0, "%s: to shared", how);
    tap_ok(none_has(PRIVATE_STAMP), "%s: nothing private is shared", how);
    stamp_all(SHARED_STAMP);
    tap_ok(all_have(SHARED_STAMP), "%s: shared memory keeps contents", how);
    tap_is(convert_all(true), 0, "%s: to private", how);
    tap_ok(none_has(SHARED_STAMP), "%s: nothing shared is private", how);
    tap_ok(none_has(PRIVATE_STAMP), "%s: what was private is gone", how);
    stamp_all(AGAIN_STAMP);
    tap_ok(all_have(AGAIN_STAMP), "%s: private memory works again", how);
}

/* An access converts only pages that are not mapped, so let KVM forget them */
static void check_access(void)
{
    uint64_t gpa;

    convert_by_msr(false);
    convert_by_msr(true);
    tap_is(convert_by_access(false), 0, "access: to shared");
    stamp_all(SHARED_STAMP);
    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        ghcb_msr_convert(gpa, true);
        ghcb_msr_convert(gpa, false);
    }
    tap_is(convert_by_access(true), 0, "access: to private");
    tap_ok(none_has(SHARED_STAMP), "access: nothing shared is private");
    stamp_all(PRIVATE_STAMP);
    tap_ok(all_have(PRIVATE_STAMP), "access: private memory keeps contents");
}

static const struct {
    const char *name;
    uint64_t gpa;
} never_private[] = {
    { "a hole", HOLE },
    { "IOAPIC", 0xfec00000 },
    { "HPET", 0xfed00000 },
    { "a hole far above", 1ULL << 45 },
};

/* What is no RAM cannot be private; the guest is told, and runs on */
static void check_refusals(void)
{
    const PageState entries[3] = {
        { base, false, true }, { HOLE, false, true },
        { base + PAGE_SIZE, false, true },
    };
    unsigned i;
    unsigned done;

    for (i = 0; i < sizeof(never_private) / sizeof(never_private[0]); i++) {
        tap_ok(ghcb_msr_convert(never_private[i].gpa, true),
               "refused: %s, by MSR", never_private[i].name);
        tap_is(ghcb_msr_convert(never_private[i].gpa, false), 0,
               "%s is shared", never_private[i].name);
    }
    ghcb_msr_convert(base, false);
    ghcb_msr_convert(base + PAGE_SIZE, false);
    page_stamp(base, SHARED_STAMP);
    page_stamp(base + PAGE_SIZE, SHARED_STAMP);
    tap_ok(ghcb_convert(entries, 3, &done), "refused: a hole, in a list");
    tap_is(done, 1, "refused: how many entries were done");
    tap_ok(!page_has(base, SHARED_STAMP), "refused: the first one was");
    tap_ok(page_has(base + PAGE_SIZE, SHARED_STAMP),
           "refused: the last one was not");
    tap_is(ghcb_msr_convert(base + PAGE_SIZE, true), 0,
           "refused: the guest runs on");
}

/* The test kernel's firmware answers with what it was asked */
static void check_guest_request(void)
{
    const uint64_t request = base, answer = base + PAGE_SIZE;

    ghcb_msr_convert(request, false);
    ghcb_msr_convert(answer, false);
    page_stamp(request, SHARED_STAMP);
    tap_is(ghcb_request(GHCB_EXIT_GUEST_REQUEST, request, answer), 0,
           "a request of the firmware");
    tap_ok(gpa_read64(answer) && gpa_read64(answer) == gpa_read64(request),
           "is answered");
    tap_ok(ghcb_request(GHCB_EXIT_GUEST_REQUEST, request + 8, answer),
           "one that is not aligned is refused");
}

static uint64_t wrong;          /* pages with another one's contents */

/* Every so manieth page, so that neighbours are converted at the same time */
static void convert_own_pages(void *rounds)
{
    uint64_t own = base + cpu_index() * PAGE_SIZE;
    uint64_t step = cpu_count() * PAGE_SIZE;
    uint64_t stamp, gpa;

    for (stamp = 1; stamp <= *(unsigned *)rounds; stamp++) {
        for (gpa = own; gpa < base + size; gpa += step) {
            bool ok = !ghcb_msr_convert(gpa, stamp % 2);

            page_stamp(gpa, stamp);
            if (!ok || !page_has(gpa, stamp)) {
                __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
            }
        }
        for (gpa = own; gpa < base + size; gpa += step) {
            if (!page_has(gpa, stamp)) {
                __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
            }
        }
    }
}

static bool launched_cpuid(void)
{
    const uint64_t entry_size = 48;
    unsigned count = gpa_read64(SNP_CPUID_PAGE) & 0xffffffff;
    uint64_t entry = SNP_CPUID_PAGE + 16;

    tap_comment("%u functions", count);
    for (; count; count--, entry += entry_size) {
        /* Function and index, then the state they are for, then registers */
        if ((gpa_read64(entry) & 0xffffffff) == 1) {
            return (gpa_read64(entry + 24) & 0xffffffff) == cpuid(1, 0).eax;
        }
    }
    return false;
}

/* For the host to compare with what it has */
static void print_hashes(void)
{
    const unsigned table_size = 168;
    unsigned offset;

    console_lock();
    printf("# hashes ");
    for (offset = 0; offset < table_size; offset++) {
        printf("%02x", gpa_read8(SNP_HASHES_PAGE + offset));
    }
    printf("\n");
    console_unlock();
}

int main(void)
{
    const char *end = param_str("end", "exit");

    param_memory(&base, &size);
    tap_is(rdmsr(MSR_SEV_STATUS) & SEV_STATUS_SNP, SEV_STATUS_SNP,
           "the CPU says that this is SEV-SNP");
    tap_ok(launched_cpuid(), "the CPUID page is what the CPU says");
    tap_ok(page_is_zero(SNP_SECRETS_PAGE), "the secrets page is there");
    if (param_u64("hashes", 0)) {
        print_hashes();
    }
    check("MSR", convert_by_msr);
    tap_ok(ghcb_request(GHCB_EXIT_FEATURES, 0, 0) & 1,
           "the hypervisor has SEV-SNP");
    check("list", convert_by_list);
    check_refusals();
    check_guest_request();
    check_access();
    if (smp_start() > 1) {
        unsigned rounds = 11;   /* the last one is private, as at first */

        on_all_cpus(convert_own_pages, &rounds);
        tap_is(wrong, 0, "%u CPUs: pages with wrong contents", cpu_count());
    }
    if (!strcmp(end, "terminate")) {
        tap_done();
        ghcb_terminate(0, 0x42);
    }
    if (!strcmp(end, "terminate-by-page")) {
        tap_done();
        ghcb_request(GHCB_EXIT_TERMINATE, 0x42 << 4, 0);
        panic("the guest goes on after its end");
    }
    if (!strcmp(end, "hole")) {
        tap_comment("touching");
        touch_private(gpa_to_ptr(HOLE));
        panic("there is private memory in a hole");
    }
    if (!strcmp(end, "shutdown")) {
        tap_done();
        guest_triple_fault();
    }
    if (!strcmp(end, "reset")) {
        tap_done();
        guest_reset();
    }
    return tap_done();
}
