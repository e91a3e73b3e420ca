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

static uint64_t page;

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

bool ghcb_init(uint64_t gpa)
{
    unsigned offset;

    if (ghcb_msr_convert(gpa, false) ||
        ghcb_msr(GHCB_MSR_REGISTER | gpa) != (GHCB_MSR_REGISTERED | gpa)) {
        return false;
    }
    for (offset = 0; offset < PAGE_SIZE; offset += sizeof(uint64_t)) {
        gpa_write64(gpa + offset, 0);
    }
    gpa_write8(gpa + GHCB_VERSION, 2);
    page = gpa;
    return true;
}

static void set_field(unsigned offset, uint64_t value)
{
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
    ghcb_msr(page);
    return gpa_read64(page + GHCB_EXIT_INFO_2);
}

uint64_t ghcb_convert(const PageState *entries, unsigned count, unsigned *done)
{
    /* Index of the current entry, of the last one, then entries of 64 bits */
    uint64_t buffer = page + GHCB_BUFFER;
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
    set_field(GHCB_SCRATCH, buffer);
    error = ghcb_request(GHCB_EXIT_PSC, 0, 0);
    *done = gpa_read64(buffer) & 0xffff;
    return error;
}

void ghcb_terminate(uint8_t set, uint8_t reason)
{
    ghcb_msr(GHCB_MSR_TERMINATE | set << 12 | reason << 16);
    panic("the guest goes on after its end");
}
