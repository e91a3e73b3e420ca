/*
 * Guest payload library: several CPUs
 *
 * CPU 0 runs main(). The others do not exist until smp_start(), and then halt
 * whenever they have nothing to do, so that they take no time from the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_SMP_H
#define GUEST_SMP_H

#include <stddef.h>

#include "exception.h"

typedef struct Cpu {
    struct Cpu *self;           /* first, see this_cpu() */
    unsigned index;
    uint32_t apic_id;
    void (*fn)(void *);         /* what it is to run; NULL when idle */
    void *arg;
    uint64_t catch_rsp;         /* not 0: inside fault_catch() */
    Fault fault;
} Cpu;

static inline Cpu *this_cpu(void)
{
    Cpu *cpu;

    asm volatile("movq %%gs:%c1, %0" : "=r"(cpu) : "i"(offsetof(Cpu, self)));
    return cpu;
}

/**
 * cpu_index: number of the calling CPU
 *
 * Returns: 0 on the CPU that runs main(), and 1 upwards on the others, in the
 * order in which they happened to start.
 */
static inline unsigned cpu_index(void)
{
    return this_cpu()->index;
}

/**
 * smp_start: start all CPUs that the machine has
 *
 * Source: Intel SDM volume 3, "MP Initialization Protocol". Panics if a CPU
 * does not come up.
 *
 * Returns: the number of CPUs, the calling one included.
 */
unsigned smp_start(void);

/**
 * cpu_count: number of CPUs that run
 *
 * Returns: 1 before smp_start(), then the same as smp_start() did.
 */
unsigned cpu_count(void);

/**
 * smp_run: let another CPU run a function, and do not wait for its end
 *
 * @cpu: its number, not that of the calling CPU; it must be idle
 * @fn: the function
 * @arg: its argument
 */
void smp_run(unsigned cpu, void (*fn)(void *), void *arg);

/**
 * smp_wait: wait until a CPU has finished what smp_run() gave it
 *
 * @cpu: its number
 */
void smp_wait(unsigned cpu);

/**
 * on_all_cpus: run a function on all CPUs at the same time, and wait for it
 *
 * To be called on CPU 0, which takes part.
 *
 * @fn: the function
 * @arg: its argument, the same for all
 */
void on_all_cpus(void (*fn)(void *), void *arg);

/* Called on each CPU when it starts; the second one on all but CPU 0 */
void smp_init_cpu(unsigned index);
void smp_idle(void) __attribute__((noreturn));

#endif /* GUEST_SMP_H */
