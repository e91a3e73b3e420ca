/*
 * Guest payload: implicit conversion by the C-bit of page tables
 *
 * All memory is private at first. A page has two addresses, with the C-bit and
 * without, and an access to the other one converts it.
 *
 * Parameters:
 *   base    guest-physical address, default 16M
 *   size    bytes, default 64K
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

static uint64_t base, size;

/* Never 0, and never what has been in another page, half or round */
static uint64_t pattern(uint64_t gpa, unsigned round, bool is_private)
{
    return (gpa << 16 | round << 1 | is_private) * 0x9e3779b97f4a7c15ULL;
}

/* Private memory never comes back; whether shared memory does is up to QEMU */
static bool may_be_seen(uint64_t gpa, unsigned round, bool is_private)
{
    uint64_t word = gpa_read64(address_as(gpa, is_private));
    bool found = word == new_word(is_private);

    while (!is_private && !found && round--) {
        found = word == pattern(gpa, round, false);
    }
    return found;
}

/*
 * Convert a page by its first access, which is a store if the round is odd.
 * Returns: whether nothing of the other half was seen, and what was written is
 * there.
 */
static bool convert_page(uint64_t gpa, unsigned round, bool to_private)
{
    uint64_t here = address_as(gpa, to_private);
    uint64_t word = pattern(gpa, round, to_private);

    if (round % 2 == 0 && !may_be_seen(gpa, round, to_private)) {
        return false;
    }
    gpa_write64(here, word);
    return gpa_read64(here) == word &&
           gpa_read64(here + 8) == new_word(to_private);
}

static unsigned convert_all(unsigned round, bool to_private, uint64_t first,
                            uint64_t step)
{
    unsigned wrong = 0;

    for (uint64_t gpa = base + first; gpa < base + size; gpa += step) {
        wrong += !convert_page(gpa, round, to_private);
    }
    for (uint64_t gpa = base + first; gpa < base + size; gpa += step) {
        wrong += gpa_read64(address_as(gpa, to_private)) !=
                 pattern(gpa, round, to_private);
    }
    return wrong;
}

/* A page that was asked to be so is not converted by an access */
static void check_explicit(bool to_private)
{
    const char *name = to_private ? "private" : "shared";
    uint64_t here = address_as(base, to_private);

    tap_is(convert(base, size, to_private), 0, "asked to be %s", name);
    gpa_write64(here, 1);
    tap_is(convert(base, size, to_private), 0, "asked to be %s again", name);
    tap_is(gpa_read64(here), 1, "it was %s already", name);
}

static unsigned wrong_words;

/* Every so manieth page, so that neighbours are converted at the same time */
static void convert_own_pages(void *rounds)
{
    for (unsigned round = 0; round < *(unsigned *)rounds; round++) {
        unsigned wrong = convert_all(round, round % 4 / 2,
                                     cpu_index() * PAGE_SIZE,
                                     cpu_count() * PAGE_SIZE);

        __atomic_fetch_add(&wrong_words, wrong, __ATOMIC_RELAXED);
    }
}

int main(void)
{
    param_memory(&base, &size);
    if (!tap_ok(c_bit(), "the CPU has a C-bit")) {
        return tap_done();
    }
    for (unsigned round = 0; round < 4; round++) {
        tap_is(convert_all(round, false, 0, PAGE_SIZE), 0,
               "%u: by access to shared: wrong words", round);
        tap_is(convert_all(round, true, 0, PAGE_SIZE), 0,
               "%u: by access to private: wrong words", round);
    }
    check_explicit(false);
    check_explicit(true);
    if (smp_start() > 1) {
        unsigned rounds = 16;

        on_all_cpus(convert_own_pages, &rounds);
        tap_is(wrong_words, 0, "%u CPUs: wrong words", cpu_count());
    }
    return tap_done();
}
