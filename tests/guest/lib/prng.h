/*
 * Guest payload library: pseudo-random numbers, repeatable by their seed
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_PRNG_H
#define GUEST_PRNG_H

#include <stdint.h>

typedef struct Prng {
    uint64_t state;
} Prng;

/* prng_init: start a sequence; any @seed will do */
static inline void prng_init(Prng *prng, uint64_t seed)
{
    /* The state must not be 0: it would stay so */
    prng->state = seed ^ 0x9e3779b97f4a7c15ULL;
    if (!prng->state) {
        prng->state = 1;
    }
}

/**
 * prng_next: next number of the sequence
 *
 * Source: Vigna, "An experimental exploration of Marsaglia's xorshift
 * generators, scrambled", xorshift64*.
 *
 * @prng: the sequence
 *
 * Returns: 64 bits.
 */
static inline uint64_t prng_next(Prng *prng)
{
    prng->state ^= prng->state >> 12;
    prng->state ^= prng->state << 25;
    prng->state ^= prng->state >> 27;
    return prng->state * 0x2545f4914f6cdd1dULL;
}

/* prng_below: next number, from 0 to @limit - 1; slightly biased */
static inline uint64_t prng_below(Prng *prng, uint64_t limit)
{
    return (prng_next(prng) >> 1) % limit;
}

#endif /* GUEST_PRNG_H */
