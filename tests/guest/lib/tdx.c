/*
 * Guest payload library: what a guest of TDX asks its module and hypervisor for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "entry.h"

#define TDCALL ".byte 0x66, 0x0f, 0x01, 0xcc" /* few assemblers know it */

#define TDG_VP_VMCALL 0
#define TDG_VP_VEINFO_GET 3
#define TDG_MEM_PAGE_ACCEPT 6
#define PASSED_REGISTERS 0x7c00 /* R10 to R14 */

bool tdx_present(void)
{
    return tdx_gpaw;
}

uint64_t tdx_shared_bit(void)
{
    return tdx_present() ? 1ULL << (tdx_gpaw - 1) : 0;
}

void tdvmcall(Tdvmcall *regs)
{
    uint64_t rax = TDG_VP_VMCALL;
    register uint64_t r10 asm("r10") = regs->r10;
    register uint64_t r11 asm("r11") = regs->r11;
    register uint64_t r12 asm("r12") = regs->r12;
    register uint64_t r13 asm("r13") = regs->r13;
    register uint64_t r14 asm("r14") = regs->r14;

    asm volatile(TDCALL
                 : "+a"(rax), "+r"(r10), "+r"(r11), "+r"(r12), "+r"(r13),
                   "+r"(r14)
                 : "c"(PASSED_REGISTERS) : "memory");
    assert(!rax);
    *regs = (Tdvmcall) { r10, r11, r12, r13, r14 };
}

uint64_t tdx_map_gpa(uint64_t gpa, uint64_t size, bool to_private,
                     uint64_t *stopped)
{
    uint64_t bit = to_private ? 0 : tdx_shared_bit();
    uint64_t end = gpa + size;
    Tdvmcall regs = { .r11 = gpa | bit };

    do {
        gpa = regs.r11 & ~bit;
        regs = (Tdvmcall) { 0, TDVMCALL_MAP_GPA, gpa | bit, end - gpa, 0 };
        tdvmcall(&regs);
    } while (regs.r10 == TDVMCALL_RETRY);
    if (stopped) {
        *stopped = regs.r11 & ~bit;
    }
    return regs.r10;
}

uint64_t tdx_accept(uint64_t gpa)
{
    uint64_t rax = TDG_MEM_PAGE_ACCEPT;

    asm volatile(TDCALL : "+a"(rax) : "c"(gpa) : "memory");
    return rax;
}

static bool accept_accessed(ExceptionFrame *frame)
{
    uint64_t rax = TDG_VP_VEINFO_GET;
    uint64_t rcx, rdx;
    register uint64_t r8 asm("r8");
    register uint64_t r9 asm("r9");
    register uint64_t r10 asm("r10");
    uint64_t error;

    asm volatile(TDCALL
                 : "+a"(rax), "=c"(rcx), "=d"(rdx), "=r"(r8), "=r"(r9),
                   "=r"(r10) : : "memory");
    if (rax) {
        return false;
    }
    error = tdx_accept(r9 & ~(PAGE_SIZE - 1));
    return !error || error == TDX_PAGE_ALREADY_ACCEPTED;
}

void tdx_init(void)
{
    if (tdx_present()) {
        exception_set_handler(VECTOR_VE, accept_accessed);
    }
}
