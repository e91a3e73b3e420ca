/*
 * Guest payload library: the bit of a page table entry that says private
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "entry.h"

static uint64_t window[512] __attribute__((aligned(PAGE_SIZE)));

_Static_assert(SHARED_WINDOW == MAPPED_GIB * GIB, "after what is mapped");

uint64_t c_bit(void)
{
    return (uint64_t)c_bit_high << 32;
}

uint64_t shared_address(uint64_t gpa)
{
    if (!c_bit() && !tdx_present()) {
        return gpa;
    }
    assert(gpa < GIB);
    /* Whichever CPU does it writes the same */
    if (!pdpt[MAPPED_GIB]) {
        for (unsigned i = 0; i < 512; i++) {
            window[i] = i * 2 * MIB | tdx_shared_bit() | PTE_LARGE;
        }
        __atomic_store_n(&pdpt[MAPPED_GIB], (uintptr_t)window | PTE_TABLE,
                         __ATOMIC_RELEASE);
    }
    return SHARED_WINDOW + gpa;
}
