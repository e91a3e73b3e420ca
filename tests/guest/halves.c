/*
 * Guest payload: memory that is used in one state, in the other, and in both
 *
 * After each step below it prints "# step NAME" and waits for a newline, so
 * that the host can see how much memory is in use, and what of it can be seen.
 * Each word that the payload writes holds its own address.
 *
 *   start    nothing yet
 *   first    all pages written, in the state that they have at first
 *   shared   all pages shared, and written
 *   private  all pages private, and written
 *   mixed    every other page shared, and all of them written
 *   back     all pages shared again, and written
 *
 * Parameters:
 *   base  guest-physical address, default 16M
 *   size  bytes, default 64M; a multiple of 2M
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define CHUNK (2 * MIB)

static uint64_t base;
static uint64_t size;
static bool mixed;
static bool all_private;        /* unless mixed; in a VM where it matters */

/* Where a page is accessed, with the state that it has */
static uint64_t here(uint64_t gpa)
{
    return address_as(gpa, mixed ? gpa / PAGE_SIZE % 2 : all_private);
}

static void step(const char *name)
{
    tap_comment("step %s", name);
    guest_wait_for('\n');
}

static void write_pages(uint64_t gpa, uint64_t length)
{
    uint64_t end = gpa + length;

    for (; gpa < end; gpa += PAGE_SIZE) {
        gpa_write64(here(gpa), gpa);
    }
}

static void check(const char *what)
{
    uint64_t wrong = 0;
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        wrong += gpa_read64(here(gpa)) != gpa;
    }
    tap_is(wrong, 0, "%s: contents", what);
    step(what);
}

/* Both halves of what is being converted are in use, but not more than that */
static void use_as(bool to_private, const char *what)
{
    uint64_t failed = 0;
    uint64_t gpa;

    mixed = false;
    all_private = to_private;
    for (gpa = base; gpa < base + size; gpa += CHUNK) {
        failed += convert(gpa, CHUNK, to_private) != 0;
        write_pages(gpa, CHUNK);
    }
    tap_is(failed, 0, "all pages: %s", what);
    check(what);
}

static void mix(void)
{
    uint64_t failed = 0;
    uint64_t gpa;

    mixed = true;
    for (gpa = base; gpa < base + size; gpa += 2 * PAGE_SIZE) {
        failed += convert(gpa, PAGE_SIZE, false) != 0;
        gpa_write64(here(gpa), gpa);
    }
    tap_is(failed, 0, "every other page to shared");
    check("mixed");
}

int main(void)
{
    base = param_u64("base", 16 * MIB);
    size = param_u64("size", 64 * MIB);
    assert(size % CHUNK == 0 && memory_is_usable(base, size));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    all_private = true;
    step("start");
    write_pages(base, size);
    check("first");
    use_as(false, "shared");
    use_as(true, "private");
    mix();
    use_as(false, "back");
    return tap_done();
}
