/*
 * Guest payload library: the machine's RAM
 *
 * Where it is depends on machine type and size: q35 has up to 2.75 GiB below
 * 4 GiB, and 2 GiB there if there is more; pc has other limits. So ask.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_MEMORY_H
#define GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAGE_SIZE 4096ULL

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)

typedef struct MemoryRange {
    uint64_t base;              /* guest-physical address */
    uint64_t size;              /* bytes */
} MemoryRange;

/**
 * memory_ranges: get the machine's RAM
 *
 * Source: fw_cfg file "etc/e820" of QEMU. The first range includes the hole
 * below 1 MiB.
 *
 * @count: set to the number of ranges
 *
 * Returns: the ranges, lowest address first.
 */
const MemoryRange *memory_ranges(unsigned *count);

/**
 * memory_is_usable: whether a test may use guest-physical memory
 *
 * @gpa: guest-physical address
 * @size: bytes
 *
 * Returns: true if all of it is RAM, mapped, and not occupied by the payload.
 */
bool memory_is_usable(uint64_t gpa, uint64_t size);

/**
 * param_memory: get the parameters "base" and "size" of a test
 *
 * Panics if they are no whole pages that memory_is_usable().
 *
 * @base: set to a guest-physical address, 16M if none is given
 * @size: set to a number of bytes, 64K if none is given
 */
void param_memory(uint64_t *base, uint64_t *size);

/**
 * gpa_to_ptr: pointer to guest-physical memory
 *
 * @gpa: guest-physical address, below MAPPED_GIB GiB
 *
 * Returns: the pointer.
 */
static inline void *gpa_to_ptr(uint64_t gpa)
{
    return (void *)(uintptr_t)gpa;
}

/*
 * Accesses to guest-physical memory whose contents a conversion may change.
 * They are volatile as the compiler must not remember what was there before.
 */

static inline uint8_t gpa_read8(uint64_t gpa)
{
    return *(volatile uint8_t *)gpa_to_ptr(gpa); /* volatile: see above */
}

static inline void gpa_write8(uint64_t gpa, uint8_t value)
{
    *(volatile uint8_t *)gpa_to_ptr(gpa) = value; /* volatile: see above */
}

static inline uint64_t gpa_read64(uint64_t gpa)
{
    return *(volatile uint64_t *)gpa_to_ptr(gpa); /* volatile: see above */
}

static inline void gpa_write64(uint64_t gpa, uint64_t value)
{
    *(volatile uint64_t *)gpa_to_ptr(gpa) = value; /* volatile: see above */
}

#endif /* GUEST_MEMORY_H */
