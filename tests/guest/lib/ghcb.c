/*
 * Guest payload library: what an SEV-SNP guest asks its hypervisor for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "snp-metadata.h"

/* The MSR protocol: the lower 12 bits say what the rest is */
#define GHCB_MSR_REGISTER 0x012
#define GHCB_MSR_REGISTERED 0x013
#define GHCB_MSR_PSC 0x014
#define GHCB_MSR_PSC_DONE 0x015
#define GHCB_MSR_TERMINATE 0x100
#define GHCB_MSR_INFO 0xfff

#define PSC_PRIVATE 1ULL
#define PSC_SHARED 2ULL

/* Offsets in the page, and which bit of the bitmap says that it is valid */
#define GHCB_EXIT_CODE 0x390
#define GHCB_EXIT_INFO_1 0x398
#define GHCB_EXIT_INFO_2 0x3a0
#define GHCB_SCRATCH 0x3a8
#define GHCB_BITMAP 0x3f0
#define GHCB_BUFFER 0x800
#define GHCB_VERSION 0xffa      /* 16 bits, then 32 bits of usage */

#define LARGE_PAGE (2 * MIB)

/* One of each CPU's own */
static uint8_t pages[MAX_CPUS][PAGE_SIZE]
    __attribute__((aligned(PAGE_SIZE)));
static bool is_ready[MAX_CPUS];

bool snp_present(void)
{
    /* Nobody else writes there: how many entries the CPUID page has */
    return gpa_read64(SNP_CPUID_PAGE);
}

static void vmgexit(void)
{
    /* VMGEXIT, which not every assembler knows */
    asm volatile(".byte 0xf3, 0x0f, 0x01, 0xd9" : : : "memory");
}

uint64_t ghcb_msr(uint64_t request)
{
    wrmsr(MSR_GHCB, request);
    vmgexit();
    return rdmsr(MSR_GHCB);
}

uint32_t ghcb_msr_convert(uint64_t gpa, bool to_private)
{
    uint64_t operation = to_private ? PSC_PRIVATE : PSC_SHARED;
    uint64_t answer = ghcb_msr(GHCB_MSR_PSC | gpa | operation << 52);

    assert((answer & GHCB_MSR_INFO) == GHCB_MSR_PSC_DONE);
    return answer >> 32;
}

/* That of the calling CPU, which is shared with KVM from the first use on */
static uint64_t ghcb_page(void)
{
    unsigned cpu = cpu_index();
    uint64_t page = (uint64_t)pages[cpu];
    unsigned offset;

    if (is_ready[cpu]) {
        return page;
    }
    if (ghcb_msr_convert(page, false) ||
        ghcb_msr(GHCB_MSR_REGISTER | page) != (GHCB_MSR_REGISTERED | page)) {
        panic("no GHCB");
    }
    for (offset = 0; offset < PAGE_SIZE; offset += sizeof(uint64_t)) {
        gpa_write64(shared_address(page + offset), 0);
    }
    gpa_write8(shared_address(page + GHCB_VERSION), 2);
    is_ready[cpu] = true;
    return page;
}

static void set_field(unsigned offset, uint64_t value)
{
    uint64_t page = shared_address(ghcb_page());
    unsigned bit = offset / sizeof(uint64_t);
    uint64_t byte = page + GHCB_BITMAP + bit / 8;

    gpa_write64(page + offset, value);
    gpa_write8(byte, gpa_read8(byte) | 1 << bit % 8);
}

uint64_t ghcb_request(uint64_t code, uint64_t info1, uint64_t info2)
{
    set_field(GHCB_EXIT_CODE, code);
    set_field(GHCB_EXIT_INFO_1, info1);
    set_field(GHCB_EXIT_INFO_2, info2);
    ghcb_msr(ghcb_page());
    return gpa_read64(shared_address(ghcb_page() + GHCB_EXIT_INFO_2));
}

uint64_t ghcb_convert(const PageState *entries, unsigned count, unsigned *done)
{
    /* Index of the current entry, of the last one, then entries of 64 bits */
    uint64_t scratch = ghcb_page() + GHCB_BUFFER;
    uint64_t buffer = shared_address(scratch);
    uint64_t error;
    unsigned i;

    assert(count && count <= GHCB_PSC_MAX);
    gpa_write64(buffer, (uint64_t)(count - 1) << 16);
    for (i = 0; i < count; i++) {
        uint64_t operation = entries[i].to_private ? PSC_PRIVATE : PSC_SHARED;

        gpa_write64(buffer + (i + 1) * sizeof(uint64_t),
                    entries[i].gpa | operation << 52 |
                    (uint64_t)entries[i].is_large << 56);
    }
    set_field(GHCB_SCRATCH, scratch);
    error = ghcb_request(GHCB_EXIT_PSC, 0, 0);
    *done = gpa_read64(buffer) & 0xffff;
    return error;
}

uint64_t ghcb_convert_range(uint64_t gpa, uint64_t size, bool to_private)
{
    uint64_t end = gpa + size;

    while (gpa < end) {
        PageState entries[GHCB_PSC_MAX];
        unsigned count = 0;
        unsigned done;
        uint64_t error;

        while (gpa < end && count < GHCB_PSC_MAX) {
            bool is_large = gpa % LARGE_PAGE == 0 && end - gpa >= LARGE_PAGE;

            entries[count++] = (PageState) { gpa, is_large, to_private };
            gpa += is_large ? LARGE_PAGE : PAGE_SIZE;
        }
        error = ghcb_convert(entries, count, &done);
        if (error) {
            return error;
        }
        assert(done == count);
    }
    return 0;
}

void ghcb_terminate(uint8_t set, uint8_t reason)
{
    ghcb_msr(GHCB_MSR_TERMINATE | set << 12 | reason << 16);
    panic("the guest goes on after its end");
}
