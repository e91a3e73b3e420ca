/*
 * Guest payload: Hyper-V's hypercalls whose input is private
 *
 * QEMU must answer with an error, and live. At "# step private gpa=0x..." and
 * "# step shared gpa=0x..." it waits for a newline, so that others can try the
 * page too.
 *
 * QEMU needs -cpu host,hv-vpindex,hv-synic.
 *
 * Parameter:
 *   base   guest-physical address of the page, default 16M
 *
 * Source: Microsoft's Hypervisor Top-Level Functional Specification.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define HV_X64_MSR_GUEST_OS_ID 0x40000000
#define HV_X64_MSR_HYPERCALL 0x40000001
#define HV_X64_MSR_SCONTROL 0x40000080
#define HV_ENABLE 1

#define HV_POST_MESSAGE 0x5c
#define HV_STATUS_INSUFFICIENT_MEMORY 0x0b
#define HV_STATUS_INVALID_CONNECTION_ID 0x12

/* KVM writes the code that makes a hypercall there */
#define HYPERCALL_PAGE (8 * MIB)

static uint64_t post_message(uint64_t gpa)
{
    register uint64_t output asm("r8") = 0;
    uint64_t input = HV_POST_MESSAGE;
    uint64_t result;

    asm volatile("call *%[page]"
                 : "=a"(result), "+c"(input), "+d"(gpa), "+r"(output)
                 : [page] "b"((uint64_t)HYPERCALL_PAGE)
                 : "memory", "cc", "r9", "r10", "r11");
    return result & 0xffff;
}

static void step(const char *name, uint64_t gpa)
{
    printf("# step %s gpa=0x%lx\n", name, gpa);
    guest_wait_for('\n');
}

int main(void)
{
    uint64_t gpa = param_u64("base", 16 * MIB);

    /* Until Hyper-V's are enabled, hypercalls are those of KVM */
    tap_is(convert(gpa, PAGE_SIZE, true), 0, "to private");
    wrmsr(HV_X64_MSR_GUEST_OS_ID, 1);
    wrmsr(HV_X64_MSR_HYPERCALL, HYPERCALL_PAGE | HV_ENABLE);
    wrmsr(HV_X64_MSR_SCONTROL, HV_ENABLE);

    step("private", gpa);
    tap_is(post_message(gpa), HV_STATUS_INSUFFICIENT_MEMORY,
           "post a message from private memory");

    step("shared", gpa + PAGE_SIZE);
    tap_is(post_message(gpa + PAGE_SIZE), HV_STATUS_INVALID_CONNECTION_ID,
           "post a message from shared memory, to nobody");
    /* The last byte of the message is in the page after the shared one */
    tap_is(post_message(gpa - 256 + 8), HV_STATUS_INSUFFICIENT_MEMORY,
           "post a message that ends in private memory");
    return tap_done();
}
