/*
 * Guest payload library: the bit of a page table entry that says private
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_C_BIT_H
#define GUEST_C_BIT_H

#include <stdbool.h>
#include <stdint.h>

/**
 * c_bit: the C-bit
 *
 * start.S maps all memory with it.
 *
 * Returns: the bit, or 0 if there is none. kvm_amd.soft_snp=2 of the test kernel
 * gives one.
 */
uint64_t c_bit(void);

/**
 * shared_address: where memory is mapped as shared
 *
 * With a C-bit or under TDX an access there to a private page converts it, and an
 * access at its own address makes it private again.
 *
 * @gpa: guest-physical address; below 8 GiB if it is mapped twice
 *
 * Returns: what gpa_read64() and the like take instead; @gpa if a page has one
 * address only.
 */
uint64_t shared_address(uint64_t gpa);

/* address_as: where memory is accessed that is private, or shared */
static inline uint64_t address_as(uint64_t gpa, bool is_private)
{
    return is_private ? gpa : shared_address(gpa);
}

#endif /* GUEST_C_BIT_H */
