/*
 * Guest payload library: registers of devices in memory
 *
 * These are instructions that the handler of #VE knows: a TD asks its hypervisor
 * to do them.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_MMIO_H
#define GUEST_MMIO_H

#include <stdint.h>

#include "c-bit.h"
#include "tdx.h"

/* Between EAX and (RDX) */
#define MMIO_READ 0x8b
#define MMIO_WRITE 0x89
#define MMIO_OPERANDS 0x02
#define MMIO_LENGTH 2

static inline uint64_t mmio_address(uint64_t gpa)
{
    return tdx_present() ? shared_address(gpa) : gpa;
}

static inline uint32_t mmio_read32(uint64_t gpa)
{
    uint32_t value;

    asm volatile("movl (%%rdx), %%eax"
                 : "=a"(value) : "d"(mmio_address(gpa)) : "memory");
    return value;
}

static inline void mmio_write32(uint64_t gpa, uint32_t value)
{
    asm volatile("movl %%eax, (%%rdx)"
                 : : "a"(value), "d"(mmio_address(gpa)) : "memory");
}

#endif /* GUEST_MMIO_H */
