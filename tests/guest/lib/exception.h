/*
 * Guest payload library: exceptions and interrupts
 *
 * Without a handler and outside of fault_catch() an exception prints the state
 * of the CPU and exits with GUEST_EXCEPTION.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_EXCEPTION_H
#define GUEST_EXCEPTION_H

#include <stdbool.h>
#include <stdint.h>

enum {
    VECTOR_NONE = -1,           /* fault_catch(): there was no exception */
    VECTOR_DE = 0,              /* divide error */
    VECTOR_BP = 3,              /* breakpoint */
    VECTOR_UD = 6,              /* undefined instruction */
    VECTOR_DF = 8,              /* double fault */
    VECTOR_GP = 13,             /* general protection */
    VECTOR_PF = 14,             /* page fault */
    VECTOR_MC = 18,             /* machine check */
    VECTOR_VE = 20,             /* virtualization exception */
    VECTOR_WAKE = 32,           /* smp.c: there is work for an idle CPU */
    VECTOR_SPURIOUS = 255,
};

/* As pushed by vectors.S and the CPU. A handler may change everything in it. */
typedef struct ExceptionFrame {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
    uint64_t vector;
    uint64_t error_code;        /* 0 for vectors that have none */
    uint64_t rip, cs, rflags, rsp, ss;
} ExceptionFrame;

/* What fault_catch() tells about an exception */
typedef struct Fault {
    int vector;
    uint64_t error_code;
    uint64_t rip;
    uint64_t address;           /* %cr2, meaningful for VECTOR_PF only */
} Fault;

/**
 * ExceptionHandler: a payload's own handler for one vector
 *
 * Runs on the stack of the interrupted code, with interrupts off.
 *
 * @frame: state of the interrupted code
 *
 * Returns: true to continue at @frame->rip, false to go on as if there was no
 * handler.
 */
typedef bool ExceptionHandler(ExceptionFrame *frame);

/**
 * exception_set_handler: install a handler for a vector, on all CPUs
 *
 * For VECTOR_MC, MCG_STATUS.MCIP is cleared after the handler: it would make
 * the next machine check a shutdown.
 *
 * @vector: the vector
 * @handler: the handler, or NULL to remove it
 */
void exception_set_handler(uint8_t vector, ExceptionHandler *handler);

/**
 * fault_catch: call a function that may raise an exception
 *
 * If it does, it is abandoned where it stands. Calls nest. Each CPU catches its
 * own exceptions only.
 *
 * @fn: the function
 * @arg: its argument
 * @fault: filled in if there was an exception; may be NULL
 *
 * Returns: the vector of the exception, or VECTOR_NONE.
 */
int fault_catch(void (*fn)(void *), void *arg, Fault *fault);

/**
 * probe_read8: read a byte that may not be readable
 *
 * @address: the byte
 * @value: where to store it; unchanged on an exception
 *
 * Returns: the vector of the exception, or VECTOR_NONE.
 */
int probe_read8(const void *address, uint8_t *value);

/**
 * probe_write8: write a byte that may not be writable
 *
 * @address: the byte
 * @value: its new value
 *
 * Returns: the vector of the exception, or VECTOR_NONE.
 */
int probe_write8(void *address, uint8_t value);

/* Called once before main(), and then on each CPU */
void exception_init(void);
void exception_init_cpu(void);

#endif /* GUEST_EXCEPTION_H */
