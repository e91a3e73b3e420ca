/*
 * Guest payload library: several CPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "apic.h"
#include "entry.h"

/* Seconds, if the time stamp counter runs at 1 GHz */
#define START_TIMEOUT (60 * 1000000000ULL)

/*
 * The emulated machine loses a wake-up of a halted CPU once in some hundred
 * thousand.  That is none of what payloads test, so send another one.
 */
#define WAKE_AGAIN (1000000000ULL / 4)

static Cpu cpus[MAX_CPUS];
static unsigned cpus_online = 1;

void smp_init_cpu(unsigned index)
{
    Cpu *cpu = &cpus[index];

    cpu->self = cpu;
    cpu->index = index;
    wrmsr(MSR_GS_BASE, (uintptr_t)cpu);
}

void smp_idle(void)
{
    Cpu *cpu = this_cpu();
    void (*fn)(void *);

    apic_init_cpu();
    cpu->apic_id = apic_id();
    __atomic_add_fetch(&cpus_online, 1, __ATOMIC_RELEASE);

    for (;;) {
        fn = __atomic_load_n(&cpu->fn, __ATOMIC_ACQUIRE);
        if (fn) {
            fn(cpu->arg);
            __atomic_store_n(&cpu->fn, NULL, __ATOMIC_RELEASE);
        } else {
            /* "sti" takes effect after "hlt", so no wake-up is lost */
            asm volatile("sti; hlt; cli" : : : "memory");
        }
    }
}

static bool wake_up(ExceptionFrame *frame)
{
    apic_end_of_interrupt();
    return true;
}

static bool ignore(ExceptionFrame *frame)
{
    return true;
}

unsigned smp_start(void)
{
    unsigned count = fwcfg_cpu_count();
    uint64_t start = rdtsc();

    if (cpus_online == count) {
        return count;
    }
    if (count > MAX_CPUS) {
        panic("%u CPUs, but only %u supported", count, MAX_CPUS);
    }
    exception_set_handler(VECTOR_WAKE, wake_up);
    exception_set_handler(VECTOR_SPURIOUS, ignore);
    apic_init_cpu();
    if (tdx_present()) {
        __atomic_store_n((uint32_t *)AP_TRAMPOLINE, (uintptr_t)ap_td,
                         __ATOMIC_RELEASE);
    } else {
        memcpy((void *)AP_TRAMPOLINE, ap_trampoline,
               ap_trampoline_end - ap_trampoline);
        apic_start_others(AP_TRAMPOLINE);
    }
    while (cpu_count() < count) {
        if (rdtsc() - start > START_TIMEOUT) {
            panic("%u of %u CPUs came up", cpu_count(), count);
        }
        cpu_relax();
    }
    return count;
}

unsigned cpu_count(void)
{
    return __atomic_load_n(&cpus_online, __ATOMIC_ACQUIRE);
}

void smp_run(unsigned cpu, void (*fn)(void *), void *arg)
{
    assert(cpu < cpu_count());
    assert(cpu != cpu_index());
    assert(!cpus[cpu].fn);
    cpus[cpu].arg = arg;
    __atomic_store_n(&cpus[cpu].fn, fn, __ATOMIC_RELEASE);
    apic_send(cpus[cpu].apic_id, VECTOR_WAKE);
}

void smp_wait(unsigned cpu)
{
    uint64_t start = rdtsc();

    assert(cpu < cpu_count());
    while (__atomic_load_n(&cpus[cpu].fn, __ATOMIC_ACQUIRE)) {
        cpu_relax();
        if (rdtsc() - start > WAKE_AGAIN) {
            apic_send(cpus[cpu].apic_id, VECTOR_WAKE);
            start = rdtsc();
        }
    }
}

void on_all_cpus(void (*fn)(void *), void *arg)
{
    unsigned i;

    assert(cpu_index() == 0);
    for (i = 1; i < cpu_count(); i++) {
        smp_run(i, fn, arg);
    }
    fn(arg);
    for (i = 1; i < cpu_count(); i++) {
        smp_wait(i);
    }
}
