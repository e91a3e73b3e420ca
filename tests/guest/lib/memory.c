/*
 * Guest payload library: the machine's RAM
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define MAX_RANGES 32
#define E820_RAM 1

typedef struct E820Entry {
    uint64_t base;
    uint64_t size;
    uint32_t type;
} __attribute__((packed)) E820Entry;

static MemoryRange ranges[MAX_RANGES];
static unsigned range_count;

/* Sorts by insertion; QEMU's order is not specified */
static void add_range(uint64_t base, uint64_t size)
{
    unsigned i = range_count++;

    while (i > 0 && ranges[i - 1].base > base) {
        ranges[i] = ranges[i - 1];
        i--;
    }
    ranges[i] = (MemoryRange) { .base = base, .size = size };
}

static void read_e820(void)
{
    E820Entry entries[MAX_RANGES];
    long size = fwcfg_read_file("etc/e820", entries, sizeof(entries));
    unsigned i;

    if (size <= 0 || size > (long)sizeof(entries)) {
        panic("etc/e820 has %ld bytes", size);
    }
    for (i = 0; i < size / sizeof(entries[0]); i++) {
        if (entries[i].type == E820_RAM) {
            add_range(entries[i].base, entries[i].size);
        }
    }
}

const MemoryRange *memory_ranges(unsigned *count)
{
    if (!range_count) {
        read_e820();
    }
    *count = range_count;
    return ranges;
}

bool memory_is_usable(uint64_t gpa, uint64_t size)
{
    unsigned count;
    const MemoryRange *r = memory_ranges(&count);
    unsigned i;

    if (gpa < PAYLOAD_LIMIT || gpa > MAPPED_GIB * GIB ||
        size > MAPPED_GIB * GIB - gpa) {
        return false;
    }
    /* Neighbouring ranges count as one */
    for (i = 0; i < count && size; i++) {
        if (gpa >= r[i].base && gpa - r[i].base < r[i].size) {
            uint64_t here = r[i].size - (gpa - r[i].base);

            here = here < size ? here : size;
            gpa += here;
            size -= here;
        }
    }
    return !size;
}

void param_memory(uint64_t *base, uint64_t *size)
{
    *base = param_u64("base", 16 * MIB);
    *size = param_u64("size", 64 * KIB);
    if ((*base | *size) % PAGE_SIZE || !memory_is_usable(*base, *size)) {
        panic("0x%lx + 0x%lx is no usable RAM", *base, *size);
    }
}
