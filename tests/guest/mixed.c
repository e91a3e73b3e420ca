/*
 * Guest payload: ranges that are private in part
 *
 * A conversion changes only what is not yet in the state asked for: those pages
 * keep their contents, the others are new. First on alternating pages, then
 * on random ranges in random states, against a model.
 *
 * Parameters:
 *   base    guest-physical address, default 16M
 *   size    bytes, default 4M
 *   rounds  default 16
 *   seed    of the random numbers, default 1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define MAX_PAGES 4096

static uint64_t base;
static uint64_t pages;
static Prng prng;

/* The model: state and stamp of each page; stamp 0 is a new page */
static bool is_private[MAX_PAGES];
static uint64_t stamps[MAX_PAGES];

static uint64_t gpa_of(uint64_t page)
{
    return base + page * PAGE_SIZE;
}

static void model_convert(uint64_t first, uint64_t count, bool to_private)
{
    uint64_t i;

    for (i = first; i < first + count; i++) {
        if (is_private[i] != to_private) {
            is_private[i] = to_private;
            stamps[i] = 0;
        }
    }
}

/* As the model, all of them */
static void check(const char *what)
{
    uint64_t wrong = 0;
    uint64_t i;

    for (i = 0; i < pages; i++) {
        bool right = stamps[i] ? page_has(gpa_of(i), stamps[i])
                               : page_is_new(gpa_of(i), is_private[i]);

        if (!right && !wrong++) {
            tap_comment("at 0x%lx, which is %s, stamped %lu: 0x%lx", gpa_of(i),
                        is_private[i] ? "private" : "shared", stamps[i],
                        gpa_read64(gpa_of(i)));
        }
    }
    tap_is(wrong, 0, "%s: contents", what);
}

static void convert_and_check(uint64_t first, uint64_t count, bool to_private)
{
    char what[80];

    snprintf(what, sizeof(what), "0x%lx + 0x%llx to %s", gpa_of(first),
             count * PAGE_SIZE, to_private ? "private" : "shared");
    tap_is(convert(gpa_of(first), count * PAGE_SIZE, to_private), 0, "%s",
           what);
    model_convert(first, count, to_private);
    check(what);
}

static void stamp_all(uint64_t generation)
{
    uint64_t i;

    for (i = 0; i < pages; i++) {
        stamps[i] = generation;
        page_stamp(gpa_of(i), stamps[i]);
    }
}

/* From shared pages to alternating ones, one hypercall each */
static void alternate(uint64_t generation)
{
    uint64_t failed = 0;
    uint64_t i;

    for (i = 1; i < pages; i += 2) {
        failed += convert(gpa_of(i), PAGE_SIZE, true) != 0;
        model_convert(i, 1, true);
    }
    tap_is(failed, 0, "every other page to private");
    check("every other page to private");
    stamp_all(generation);
}

static void test_alternating(void)
{
    convert_and_check(0, pages, false);
    stamp_all(1);
    alternate(2);
    convert_and_check(0, pages, true);
    convert_and_check(0, pages, true);
    convert_and_check(0, pages, false);
    stamp_all(3);
    alternate(4);
    convert_and_check(0, pages, false);
    convert_and_check(0, pages, false);
}

static void test_random(unsigned rounds)
{
    unsigned i;

    for (i = 0; i < rounds; i++) {
        uint64_t first = prng_below(&prng, pages);
        uint64_t count = 1 + prng_below(&prng, pages - first);

        stamp_all(5 + i);
        convert_and_check(first, count, prng_below(&prng, 2));
    }
}

int main(void)
{
    uint64_t size = param_u64("size", 4 * MIB);
    uint64_t seed = param_u64("seed", 1);

    base = param_u64("base", 16 * MIB);
    pages = size / PAGE_SIZE;
    assert(pages && pages <= MAX_PAGES && memory_is_usable(base, size));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    tap_comment("base=0x%lx size=0x%lx seed=%lu", base, size, seed);
    prng_init(&prng, seed);
    memset(is_private, snp_present(), sizeof(is_private));
    test_alternating();
    test_random(param_u64("rounds", 16));
    return tap_done();
}
