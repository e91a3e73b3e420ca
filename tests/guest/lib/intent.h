/*
 * Guest payload library: accesses that claim a state, implicit conversion
 *
 * Under SEV-SNP and TDX each access says whether it means private or shared
 * memory. For the software-protected VM, KVM of the test kernel (module
 * parameter kvm.sw_protected_intent=1) takes that from the flags register:
 * while EFLAGS.ID is set a nested page fault counts as a private access, while
 * EFLAGS.AC is set as a shared one. Without that kernel these are plain
 * accesses.
 *
 * Only an access that faults in the nested page tables is looked at, so the
 * page must not be mapped there yet. forget_mapping() sees to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_INTENT_H
#define GUEST_INTENT_H

#include <stdint.h>

#include "processor.h"

typedef enum Intent {
    INTENT_SHARED = EFLAGS_AC,
    INTENT_PRIVATE = EFLAGS_ID,
} Intent;

/**
 * intent_read8: read a byte and claim that its page has a certain state
 *
 * @address: the byte; not within 2 MiB of the payload itself
 * @intent: the state
 *
 * Returns: the byte.
 */
uint8_t intent_read8(const void *address, Intent intent);

/**
 * intent_write8: write a byte and claim that its page has a certain state
 *
 * @address: the byte; not within 2 MiB of the payload itself
 * @value: its new value
 * @intent: the state
 */
void intent_write8(void *address, uint8_t value, Intent intent);

/* touch_private: convert a page to private, by reading a byte of it */
void touch_private(const void *address);

/* touch_shared: convert a page to shared, by reading a byte of it */
void touch_shared(const void *address);

/**
 * forget_mapping: make the next access to each page of a range fault
 *
 * Converts the range explicitly to the other state and back again, which makes
 * KVM drop its mappings. Contents are lost.
 *
 * @gpa: guest-physical address, page-aligned
 * @size: bytes, page-aligned
 * @is_private: the state that the range has, and keeps
 *
 * Returns: 0, or a negative KVM_E*.
 */
long forget_mapping(uint64_t gpa, uint64_t size, bool is_private);

#endif /* GUEST_INTENT_H */
