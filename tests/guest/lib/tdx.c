/*
 * Guest payload library: what a guest of TDX asks its module and hypervisor for
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "entry.h"
#include "mmio.h"

#define TDCALL ".byte 0x66, 0x0f, 0x01, 0xcc" /* few assemblers know it */

#define TDG_VP_VMCALL 0
#define TDG_VP_VEINFO_GET 3
#define TDG_MEM_PAGE_ACCEPT 6
#define TDG_VM_RD 7
#define TDG_VM_WR 8
#define PASSED_REGISTERS 0xfc00 /* R10 to R15 */

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
    register uint64_t r15 asm("r15") = regs->r15;

    asm volatile(TDCALL
                 : "+a"(rax), "+r"(r10), "+r"(r11), "+r"(r12), "+r"(r13),
                   "+r"(r14), "+r"(r15)
                 : "c"(PASSED_REGISTERS) : "memory");
    assert(!rax);
    *regs = (Tdvmcall) { r10, r11, r12, r13, r14, r15 };
}

uint64_t tdx_halt(void)
{
    uint64_t rax = TDG_VP_VMCALL;
    register uint64_t r10 asm("r10") = 0;
    register uint64_t r11 asm("r11") = TDVMCALL_HLT;
    register uint64_t r12 asm("r12") = 0;   /* interrupts are on */

    asm volatile("sti\n\t"
                 TDCALL "\n\t"
                 "cli"
                 : "+a"(rax), "+r"(r10), "+r"(r11), "+r"(r12)
                 : "c"(PASSED_REGISTERS)
                 : "r13", "r14", "r15", "memory", "cc");
    assert(!rax);
    return r10;
}

uint64_t tdx_map_gpa(uint64_t gpa, uint64_t size, bool to_private,
                     uint64_t *stopped)
{
    uint64_t bit = to_private ? 0 : tdx_shared_bit();
    uint64_t end = gpa + size;
    Tdvmcall regs = { .r11 = gpa | bit };

    do {
        gpa = regs.r11 & ~bit;
        regs = (Tdvmcall) { 0, TDVMCALL_MAP_GPA, gpa | bit, end - gpa,
                            0, 0 };
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

uint64_t tdx_ve_info(VeInfo *info)
{
    uint64_t rax = TDG_VP_VEINFO_GET;
    register uint64_t r8 asm("r8");
    register uint64_t r9 asm("r9");
    register uint64_t r10 asm("r10");
    uint64_t rcx, rdx;

    asm volatile(TDCALL
                 : "+a"(rax), "=c"(rcx), "=d"(rdx), "=r"(r8), "=r"(r9),
                   "=r"(r10) : : "memory");
    *info = (VeInfo) { rcx, rdx, r8, r9, r10 };
    return rax;
}

uint64_t tdx_vm_read(uint64_t field, uint64_t *value)
{
    uint64_t rax = TDG_VM_RD;
    register uint64_t r8 asm("r8");

    asm volatile(TDCALL
                 : "+a"(rax), "=r"(r8) : "c"(0ULL), "d"(field) : "memory");
    *value = r8;
    return rax;
}

uint64_t tdx_vm_write(uint64_t field, uint64_t *value, uint64_t mask)
{
    uint64_t rax = TDG_VM_WR;
    register uint64_t r8 asm("r8") = *value;
    register uint64_t r9 asm("r9") = mask;

    asm volatile(TDCALL
                 : "+a"(rax), "+r"(r8)
                 : "c"(0ULL), "d"(field), "r"(r9) : "memory");
    *value = r8;
    return rax;
}

/* Have the hypervisor do what one of the instructions of mmio.h does */
static bool emulate_mmio(ExceptionFrame *frame, uint64_t gpa)
{
    const uint8_t *code = gpa_to_ptr(frame->rip);
    bool write = code[0] == MMIO_WRITE;
    Tdvmcall regs = { .r11 = TDVMCALL_MMIO, .r12 = sizeof(uint32_t),
                      .r13 = write, .r14 = gpa, .r15 = frame->rax };

    if ((!write && code[0] != MMIO_READ) || code[1] != MMIO_OPERANDS) {
        return false;
    }
    tdvmcall(&regs);
    if (!write) {
        frame->rax = (uint32_t)regs.r11;
    }
    frame->rip += MMIO_LENGTH;
    return !regs.r10;
}

static bool handle_ve(ExceptionFrame *frame)
{
    VeInfo info;
    uint64_t error;

    if (tdx_ve_info(&info)) {
        return false;
    }
    if (info.gpa & tdx_shared_bit()) {
        return emulate_mmio(frame, info.gpa);
    }
    error = tdx_accept(info.gpa & ~(PAGE_SIZE - 1));
    return !error || error == TDX_PAGE_ALREADY_ACCEPTED;
}

void tdx_init(void)
{
    if (tdx_present()) {
        exception_set_handler(VECTOR_VE, handle_ve);
    }
}
