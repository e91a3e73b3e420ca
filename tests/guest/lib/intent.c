/*
 * Guest payload library: accesses that claim a state, implicit conversion
 *
 * While the flag is set, *any* nested page fault counts, of fetching the code
 * and of the stack too. Both have just been used, so they are mapped; all from
 * one "popfq" to the next is in one line of the cache, so it is in one page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define SET_INTENT \
    "pushfq\n\t" \
    "pushfq\n\t" \
    "andq %[none], (%%rsp)\n\t" \
    "orq %[intent], (%%rsp)\n\t" \
    ".balign 64\n\t" \
    "popfq\n\t"

#define DROP_INTENT \
    "popfq\n\t"

#define NO_INTENT (~(long)(EFLAGS_AC | EFLAGS_ID))

uint8_t intent_read8(const void *address, Intent intent)
{
    uint8_t value;

    asm volatile(SET_INTENT
                 "movb (%[address]), %[value]\n\t"
                 DROP_INTENT
                 : [value] "=&q"(value)
                 : [address] "r"(address), [intent] "r"((uint64_t)intent),
                   [none] "i"(NO_INTENT)
                 : "memory", "cc");
    return value;
}

void intent_write8(void *address, uint8_t value, Intent intent)
{
    asm volatile(SET_INTENT
                 "movb %[value], (%[address])\n\t"
                 DROP_INTENT
                 : : [value] "q"(value),
                     [address] "r"(address), [intent] "r"((uint64_t)intent),
                     [none] "i"(NO_INTENT)
                 : "memory", "cc");
}

/* A TD says by the address what it means */
static void touch(const void *address, Intent intent)
{
    if (tdx_present()) {
        gpa_read8(address_as((uintptr_t)address, intent == INTENT_PRIVATE));
    } else {
        intent_read8(address, intent);
    }
}

void touch_private(const void *address)
{
    touch(address, INTENT_PRIVATE);
}

void touch_shared(const void *address)
{
    touch(address, INTENT_SHARED);
}

long forget_mapping(uint64_t gpa, uint64_t size, bool is_private)
{
    long ret = convert(gpa, size, !is_private);

    return ret ? ret : convert(gpa, size, is_private);
}
