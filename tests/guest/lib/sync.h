/*
 * Guest payload library: spinlock and barrier
 *
 * For atomic counters and flags use gcc's __atomic builtins.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_SYNC_H
#define GUEST_SYNC_H

#include "processor.h"

/* All zeros: not locked */
typedef struct Spinlock {
    unsigned locked;
} Spinlock;

/* All zeros: nobody waits */
typedef struct Barrier {
    unsigned arrived;
    unsigned generation;
} Barrier;

static inline void spin_lock(Spinlock *lock)
{
    while (__atomic_exchange_n(&lock->locked, 1, __ATOMIC_ACQUIRE)) {
        while (__atomic_load_n(&lock->locked, __ATOMIC_RELAXED)) {
            cpu_relax();
        }
    }
}

static inline void spin_unlock(Spinlock *lock)
{
    __atomic_store_n(&lock->locked, 0, __ATOMIC_RELEASE);
}

/**
 * barrier_wait: wait until a number of CPUs have called this
 *
 * The barrier can be used again at once.
 *
 * @barrier: the barrier
 * @cpus: how many CPUs; all of them must pass the same number
 */
static inline void barrier_wait(Barrier *barrier, unsigned cpus)
{
    unsigned generation;

    generation = __atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE);
    if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == cpus) {
        __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
        __atomic_store_n(&barrier->generation, generation + 1,
                         __ATOMIC_RELEASE);
        return;
    }
    while (__atomic_load_n(&barrier->generation, __ATOMIC_ACQUIRE) ==
           generation) {
        cpu_relax();
    }
}

#endif /* GUEST_SYNC_H */
