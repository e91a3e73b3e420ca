/*
 * Guest payload library: what is in a page, and which state it has
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_PAGE_H
#define GUEST_PAGE_H

#include <stdbool.h>
#include <stdint.h>

/**
 * page_stamp: fill a page with contents of its own
 *
 * Every word depends on its address and on the stamp, and none is 0.
 *
 * @gpa: guest-physical address of the page
 * @stamp: below 2^24
 */
void page_stamp(uint64_t gpa, uint64_t stamp);

/* page_has: whether a page is as page_stamp(@gpa, @stamp) leaves it */
bool page_has(uint64_t gpa, uint64_t stamp);

/* page_is_zero: whether all of a page is 0 */
bool page_is_zero(uint64_t gpa);

/**
 * new_word: what each word of a page is that has just changed its state
 *
 * @is_private: the state that it has now
 *
 * Returns: 0; for private memory of an SEV-SNP guest what zeros look like when
 * they are decrypted. A CPU gives anything, the test kernel always the same.
 */
uint64_t new_word(bool is_private);

/* page_is_new: whether all of a page is as new_word() says */
bool page_is_new(uint64_t gpa, bool is_private);

/**
 * page_was_private: find out a page's state, by changing it
 *
 * A guest cannot ask for the state, but only a page that is private already
 * keeps its contents when it is converted to private.
 *
 * @gpa: guest-physical address of the page. Afterwards it is private, and its
 *       former contents are lost. If it was shared, what is in it now is what
 *       was in the private half.
 *
 * Returns: whether it was private. Panics if it cannot be converted.
 */
bool page_was_private(uint64_t gpa);

/**
 * let_devices_reach: make memory shared if it is private at first
 *
 * So it is in SEV-SNP guests and TDs. Panics if it cannot be converted.
 *
 * @gpa: guest-physical address, page-aligned
 * @size: bytes, page-aligned
 */
void let_devices_reach(uint64_t gpa, uint64_t size);

#endif /* GUEST_PAGE_H */
