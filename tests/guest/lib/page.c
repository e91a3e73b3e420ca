/*
 * Guest payload library: what is in a page, and which state it has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PROBE_STAMP 0xffffff
#define SNP_NOISE 0xc7c7c7c7c7c7c7c7ULL /* tests/kernel/soft-snp.patch */

/* An odd number times an odd number is never 0 */
static uint64_t word(uint64_t gpa, uint64_t stamp)
{
    return (gpa << 24 | stamp << 1 | 1) * 0x9e3779b97f4a7c15ULL;
}

void page_stamp(uint64_t gpa, uint64_t stamp)
{
    uint64_t end = gpa + PAGE_SIZE;

    for (; gpa < end; gpa += sizeof(uint64_t)) {
        gpa_write64(gpa, word(gpa, stamp));
    }
}

bool page_has(uint64_t gpa, uint64_t stamp)
{
    uint64_t end = gpa + PAGE_SIZE;

    for (; gpa < end; gpa += sizeof(uint64_t)) {
        if (gpa_read64(gpa) != word(gpa, stamp)) {
            return false;
        }
    }
    return true;
}

static bool page_is(uint64_t gpa, uint64_t value)
{
    uint64_t end = gpa + PAGE_SIZE;

    for (; gpa < end; gpa += sizeof(uint64_t)) {
        if (gpa_read64(gpa) != value) {
            return false;
        }
    }
    return true;
}

bool page_is_zero(uint64_t gpa)
{
    return page_is(gpa, 0);
}

uint64_t new_word(bool is_private)
{
    return is_private && snp_present() ? SNP_NOISE : 0;
}

bool page_is_new(uint64_t gpa, bool is_private)
{
    return page_is(gpa, new_word(is_private));
}

bool page_was_private(uint64_t gpa)
{
    long ret;

    page_stamp(gpa, PROBE_STAMP);
    ret = convert(gpa, PAGE_SIZE, true);
    if (ret) {
        panic("conversion of 0x%lx to private: %ld", gpa, ret);
    }
    return page_has(gpa, PROBE_STAMP);
}

void let_devices_reach(uint64_t gpa, uint64_t size)
{
    assert((!snp_present() && !tdx_present()) || !convert(gpa, size, false));
}
