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
#define TDX_NO_VE_INFO 0xc000070400000000ULL
#define TDX_FIELD_ID_INCORRECT 0xc0000c0000000000ULL

/* What the hypervisor says, in R10 */
#define TDVMCALL_RETRY 1
#define TDVMCALL_INVALID_OPERAND 0x8000000000000000ULL
#define TDVMCALL_ALIGN_ERROR 0x8000000000000002ULL

/* What the hypervisor is asked for, in R11: an instruction, or something else */
#define TDVMCALL_CPUID 10
#define TDVMCALL_HLT 12
#define TDVMCALL_IO 30
#define TDVMCALL_RDMSR 31
#define TDVMCALL_WRMSR 32
#define TDVMCALL_MMIO 48
#define TDVMCALL_GET_INFO 0x10000
#define TDVMCALL_MAP_GPA 0x10001
#define TDVMCALL_GET_QUOTE 0x10002
#define TDVMCALL_FATAL_ERROR 0x10003

typedef struct Tdvmcall {
    uint64_t r10, r11, r12, r13, r14, r15;
} Tdvmcall;

/* What the module tells about a #VE, see TDG.VP.VEINFO.GET */
typedef struct VeInfo {
    uint64_t exit_reason, qualification, gla, gpa, instruction;
} VeInfo;

#define VE_EPT_VIOLATION 48
#define VE_READ 1
#define VE_WRITE 2

/* Fields of a TD */
#define TDX_ATTRIBUTES 0x1110000300000000ULL
#define TDX_TD_CTLS 0x1110000300000017ULL
#define TDX_NOTIFY_ENABLES 0x9100000000000010ULL

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
 * tdx_halt: wait for an interrupt, with interrupts on
 *
 * One that comes after it was called ends it.
 *
 * Returns: 0, or TDVMCALL_*.
 */
uint64_t tdx_halt(void);

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

/**
 * tdx_ve_info: what the last #VE was about; another one before this is #DF
 *
 * Returns: 0, or TDX_NO_VE_INFO.
 */
uint64_t tdx_ve_info(VeInfo *info);

/**
 * tdx_vm_read: read a field of the TD
 *
 * Returns: 0, or TDX_*.
 */
uint64_t tdx_vm_read(uint64_t field, uint64_t *value);

/**
 * tdx_vm_write: write bits of a field of the TD
 *
 * @value: afterwards what it was
 *
 * Returns: 0, or TDX_*.
 */
uint64_t tdx_vm_write(uint64_t field, uint64_t *value, uint64_t mask);

/*
 * tdx_init: accept pages when they are accessed, and ask the hypervisor to do
 * accesses of mmio.h; called once before main()
 */
void tdx_init(void);

#endif /* GUEST_TDX_H */
