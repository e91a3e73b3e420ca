/*
 * Guest payload library: ways to end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PORT_DEBUG_EXIT 0xf4
#define PORT_RESET_CONTROL 0xcf9
#define RESET_SYSTEM 0x02
#define RESET_NOW 0x04

static void __attribute__((noreturn)) halt(void)
{
    for (;;) {
        asm volatile("cli; hlt");
    }
}

void guest_exit(int status)
{
    outb(PORT_DEBUG_EXIT, status);
    halt();
}

void guest_reset(void)
{
    outb(PORT_RESET_CONTROL, RESET_SYSTEM);
    outb(PORT_RESET_CONTROL, RESET_SYSTEM | RESET_NOW);
    halt();
}

void guest_triple_fault(void)
{
    const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) no_idt = { 0, 0 };

    asm volatile("lidt %0; int3" : : "m"(no_idt));
    halt();
}

void panic(const char *fmt, ...)
{
    va_list ap;

    console_lock();
    printf("\nBail out! ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    guest_exit(GUEST_PANIC);
}
