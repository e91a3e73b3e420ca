/*
 * Guest payload library: local APIC
 *
 * x2APIC mode needs no MMIO, which KVM cannot emulate for code in private
 * memory. TCG did not have it before QEMU 9.0, so the old mode is here too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "apic.h"

#define APIC_MMIO 0xfee00000
#define APIC_ID 0x020
#define APIC_EOI 0x0b0
#define APIC_SVR 0x0f0
#define APIC_ICR 0x300
#define APIC_ICR_HIGH 0x310
#define APIC_TIMER 0x320
#define APIC_TIMER_COUNT 0x380

#define MSR_X2APIC 0x800
#define APIC_BASE_ENABLE (1 << 11)
#define APIC_BASE_X2APIC (1 << 10)
#define SVR_ENABLE (1 << 8)
#define ICR_SMI (2 << 8)
#define ICR_INIT (5 << 8)
#define ICR_STARTUP (6 << 8)
#define ICR_PENDING (1 << 12)
#define ICR_ASSERT (1 << 14)
#define ICR_ALL_BUT_SELF (3 << 18)
#define CPUID_ECX_X2APIC (1 << 21)

/* Of 40 ns in a TD; no test depends on it */
#define TIMER_TICKS 1000

/* Ticks between start-up messages; emulated CPUs do not need any */
#define STARTUP_DELAY 200000

static bool has_x2apic;

static volatile uint32_t *mmio(unsigned reg)
{
    /* volatile: these are registers */
    return (volatile uint32_t *)(uintptr_t)(APIC_MMIO + reg);
}

static uint32_t apic_read(unsigned reg)
{
    if (has_x2apic) {
        return rdmsr(MSR_X2APIC + (reg >> 4));
    }
    return *mmio(reg);
}

static void apic_write(unsigned reg, uint32_t value)
{
    if (has_x2apic) {
        wrmsr(MSR_X2APIC + (reg >> 4), value);
    } else {
        *mmio(reg) = value;
    }
}

static void apic_command(uint32_t id, uint32_t command)
{
    if (has_x2apic) {
        wrmsr(MSR_X2APIC + (APIC_ICR >> 4), ((uint64_t)id << 32) | command);
        return;
    }
    while (apic_read(APIC_ICR) & ICR_PENDING) {
        cpu_relax();
    }
    apic_write(APIC_ICR_HIGH, id << 24);
    apic_write(APIC_ICR, command);
}

void apic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE) | APIC_BASE_ENABLE;

    wrmsr(MSR_APIC_BASE, base);
    if (cpuid(1, 0).ecx & CPUID_ECX_X2APIC) {
        wrmsr(MSR_APIC_BASE, base | APIC_BASE_X2APIC);
        has_x2apic = true;
    }
    apic_write(APIC_SVR, SVR_ENABLE | VECTOR_SPURIOUS);
}

uint32_t apic_id(void)
{
    uint32_t id = apic_read(APIC_ID);

    return has_x2apic ? id : id >> 24;
}

void apic_start_others(uint32_t address)
{
    uint32_t startup = ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_STARTUP |
                       (address >> 12);
    uint64_t start;

    apic_command(0, ICR_ALL_BUT_SELF | ICR_ASSERT | ICR_INIT);
    apic_command(0, startup);
    start = rdtsc();
    while (rdtsc() - start < STARTUP_DELAY) {
        cpu_relax();
    }
    apic_command(0, startup);
}

void apic_send(uint32_t id, uint8_t vector)
{
    apic_command(id, ICR_ASSERT | vector);
}

void apic_send_smi(uint32_t id)
{
    apic_command(id, ICR_ASSERT | ICR_SMI);
}

void apic_start_timer(uint8_t vector)
{
    apic_write(APIC_TIMER, vector);
    apic_write(APIC_TIMER_COUNT, TIMER_TICKS);
}

void apic_end_of_interrupt(void)
{
    apic_write(APIC_EOI, 0);
}
