/*
 * Guest payload library: where assembly code and C meet
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_ENTRY_H
#define GUEST_ENTRY_H

#include "exception.h"

/* start.S: code that is copied to AP_TRAMPOLINE */
extern char ap_trampoline[];
extern char ap_trampoline_end[];

/* start.S: where a TD's other CPUs go, when its address is at AP_TRAMPOLINE */
extern char ap_td[];

/* start.S: how many bits an address of a TD has, or 0 in any other VM */
extern uint32_t tdx_gpaw;

/* start.S: the page table whose entries map a GiB each; half of the C-bit */
extern uint64_t pdpt[512];
extern uint32_t c_bit_high;

/* main.c, called by start.S on each CPU, on its own stack */
void cpu_main(unsigned index) __attribute__((noreturn));

/* vectors.S: 256 entry points, 16 bytes each */
extern char exception_stubs[];

/* exception.c, called by vectors.S */
void exception_dispatch(ExceptionFrame *frame);

/**
 * fault_catch_call: call a function with a way out of it
 *
 * To leave the function early, set rsp to *@catch_rsp and rax to the value to
 * return, and jump to fault_catch_landing. Source: vectors.S.
 *
 * @fn: the function
 * @arg: its argument
 * @catch_rsp: set while the function runs, then restored
 *
 * Returns: -1 if the function returned.
 */
int fault_catch_call(void (*fn)(void *), void *arg, uint64_t *catch_rsp);
extern char fault_catch_landing[];

#endif /* GUEST_ENTRY_H */
