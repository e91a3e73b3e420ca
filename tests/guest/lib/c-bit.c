/*
 * Guest payload library: the bit of a page table entry that says private
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "entry.h"

static uint64_t window[SHARED_GIB][512] __attribute__((aligned(PAGE_SIZE)));

_Static_assert(SHARED_WINDOW == MAPPED_GIB * GIB, "after what is mapped");

uint64_t c_bit(void)
{
    return (uint64_t)c_bit_high << 32;
}

uint64_t shared_address(uint64_t gpa)
{
    uint64_t i;

    if (!c_bit() && !tdx_present()) {
        return gpa;
    }
    i = gpa / GIB;
    assert(i < SHARED_GIB);
    /* Whichever CPU does it writes the same */
    if (!pdpt[MAPPED_GIB + i]) {
        for (unsigned j = 0; j < 512; j++) {
            window[i][j] = (i * GIB + j * 2 * MIB) | tdx_shared_bit() |
                           PTE_LARGE;
        }
        __atomic_store_n(&pdpt[MAPPED_GIB + i],
                         (uintptr_t)window[i] | PTE_TABLE, __ATOMIC_RELEASE);
    }
    return SHARED_WINDOW + gpa;
}
