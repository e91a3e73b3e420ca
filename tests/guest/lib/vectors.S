/*
 * Guest payload library: exception entry points and fault_catch_call()
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

/* Vectors for which the CPU pushes an error code: 8, 10-14, 17, 21, 29, 30 */
#define HAS_ERROR_CODE 0x60227d00

    .text

    /* 256 stubs of 16 bytes each; exception.c computes their addresses */
    .balign 16
    .globl exception_stubs
exception_stubs:
    vector = 0
    .rept 256
    .balign 16
    .if vector >= 32
    pushq $0
    .elseif !((HAS_ERROR_CODE >> vector) & 1)
    pushq $0
    .endif
    pushq $vector
    jmp exception_common
    vector = vector + 1
    .endr

    /* The pushes build an ExceptionFrame, see exception.h */
exception_common:
    pushq %rax
    pushq %rbx
    pushq %rcx
    pushq %rdx
    pushq %rsi
    pushq %rdi
    pushq %rbp
    pushq %r8
    pushq %r9
    pushq %r10
    pushq %r11
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    /* Flags of the interrupted code may claim an access intent: drop them */
    pushq $2
    popfq
    movq %rsp, %rdi
    call exception_dispatch
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %r11
    popq %r10
    popq %r9
    popq %r8
    popq %rbp
    popq %rdi
    popq %rsi
    popq %rdx
    popq %rcx
    popq %rbx
    popq %rax
    addq $16, %rsp
    iretq

    /*
     * int fault_catch_call(void (*fn)(void *), void *arg, uint64_t *catch_rsp)
     *
     * Saves the outer value of *catch_rsp, so that calls nest.
     */
    .globl fault_catch_call
fault_catch_call:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdx
    pushq (%rdx)
    movq %rsp, (%rdx)
    movq %rdi, %rax
    movq %rsi, %rdi
    call *%rax
    movl $-1, %eax
    /* An exception continues here, with its vector in %eax */
    .globl fault_catch_landing
fault_catch_landing:
    popq %rcx
    popq %rdx
    movq %rcx, (%rdx)
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret

    .section .note.GNU-stack, "", @progbits
