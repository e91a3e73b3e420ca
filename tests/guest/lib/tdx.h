/*
 * Guest payload library: what a guest of TDX asks its module and hypervisor for
 *
 * Pages that nobody has accepted are accepted when they are accessed: #VE tells
 * which one it is. Contents that are lost are so seen as zeros.
 *
 * Source: Intel TDX module ABI specification; Guest-Host-Communication Interface.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_TDX_H
#define GUEST_TDX_H

#include <stdbool.h>
#include <stdint.h>

/* What the module says, in RAX */
#define TDX_OPERAND_INVALID_RCX 0xc000010000000001ULL
#define TDX_PAGE_ALREADY_ACCEPTED 0x00000b0a00000000ULL

/* What the hypervisor says, in R10 */
#define TDVMCALL_RETRY 1
#define TDVMCALL_INVALID_OPERAND 0x8000000000000000ULL
#define TDVMCALL_ALIGN_ERROR 0x8000000000000002ULL

#define TDVMCALL_GET_INFO 0x10000
#define TDVMCALL_MAP_GPA 0x10001
#define TDVMCALL_GET_QUOTE 0x10002
#define TDVMCALL_FATAL_ERROR 0x10003

typedef struct Tdvmcall {
    uint64_t r10, r11, r12, r13, r14;
} Tdvmcall;

/* tdx_present: whether this is a guest of TDX */
bool tdx_present(void);

/* tdx_shared_bit: the bit of an address that says shared; 0 without TDX */
uint64_t tdx_shared_bit(void);

/**
 * tdvmcall: ask the hypervisor
 *
 * @regs: R10 is 0, or a number of the hypervisor's own; R11 says what is asked
 *        for. Afterwards what the hypervisor has put there.
 */
void tdvmcall(Tdvmcall *regs);

/**
 * tdx_map_gpa: ask for a conversion, and again as long as the answer is to
 *
 * @gpa: guest-physical address, without the shared bit
 * @size: bytes
 * @to_private: new state
 * @stopped: if not NULL, set to the address that an error is about
 *
 * Returns: 0, or TDVMCALL_*.
 */
uint64_t tdx_map_gpa(uint64_t gpa, uint64_t size, bool to_private,
                     uint64_t *stopped);

/**
 * tdx_accept: take a page as private memory, filled with zeros
 *
 * Returns: 0, or TDX_*.
 */
uint64_t tdx_accept(uint64_t gpa);

/* tdx_init: accept pages when they are accessed; called once before main() */
void tdx_init(void);

#endif /* GUEST_TDX_H */
