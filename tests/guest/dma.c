/*
 * Guest payload: a device's DMA to shared pages, and not to private ones
 *
 * For the "edu" device of QEMU, be it the guest's own or one that is assigned
 * to it: step by step; then where mappings are few; then the device copies
 * between pages that stay shared while those around them are converted.
 *
 * Parameters:
 *   base         guest-physical address, default 16M
 *   steps        default 1; 0 to leave them out
 *   limit        1: convert until the host allows no more mappings for the
 *                device; default 0
 *   conversions  how many under DMA, default 0
 *   seed         default 1
 *   isolated     1: before DMA begins, convert each page around once, so that
 *                what the device uses shares a mapping with no other page
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "edu.h"
#include "guest.h"
#include "prng.h"

#define PAGES 64                /* of those that are converted under DMA */
#define SOURCE 10               /* except for these two */
#define TARGET 40

#define MAX_LIMIT 4096          /* pages, until there must be no mapping left */

static uint64_t base;

/* What the device would copy of a page */
static bool same(uint64_t a, uint64_t b)
{
    uint64_t offset;

    for (offset = 0; offset < EDU_TRANSFER; offset += sizeof(uint64_t)) {
        if (gpa_read64(a + offset) != gpa_read64(b + offset)) {
            return false;
        }
    }
    return true;
}

static bool copies(uint64_t from, uint64_t to)
{
    edu_transfer(from, false);
    edu_transfer(to, true);
    return same(shared_address(from), shared_address(to));
}

static void test_steps(void)
{
    uint64_t a = base, b = base + PAGE_SIZE, c = base + 2 * PAGE_SIZE;

    page_stamp(shared_address(a), 1);
    tap_ok(copies(a, b), "shared to shared");

    tap_is(convert(b, PAGE_SIZE, true), 0, "target to private");
    page_stamp(b, 2);
    tap_comment("step blocked");
    edu_transfer(b, true);
    tap_ok(page_has(b, 2), "the private half is as it was");

    tap_comment("step blocked-read");
    edu_transfer(b, false);
    edu_transfer(c, true);
    tap_ok(!same(b, shared_address(c)), "the device has not seen the private half");
    tap_comment("step open");

    tap_is(convert(b, PAGE_SIZE, false), 0, "target to shared");
    tap_ok(page_is_zero(shared_address(b)), "the shared half is empty");
    tap_ok(copies(a, b), "shared to shared again");
}

static void convert_around(unsigned page, bool to_private, unsigned *failed)
{
    if (page != SOURCE && page != TARGET) {
        *failed += convert(base + page * PAGE_SIZE, PAGE_SIZE,
                           to_private) != 0;
    }
}

static void test_conversions(unsigned conversions)
{
    Prng prng = { param_u64("seed", 1) };
    uint64_t source = base + SOURCE * PAGE_SIZE;
    uint64_t target = base + TARGET * PAGE_SIZE;
    unsigned failed = 0, wrong = 0, transfers = 0;
    bool to_memory = false;
    unsigned i;

    for (i = 0; param_u64("isolated", 1) && i < PAGES; i++) {
        convert_around(i, true, &failed);
        convert_around(i, false, &failed);
    }
    page_stamp(shared_address(source), 1);
    edu_start(source, false);
    /* Until there were transfers: how long one takes is up to the device */
    for (i = 0; i < conversions || (conversions && transfers < 2); i++) {
        unsigned page = prng_below(&prng, PAGES);

        convert_around(page, prng_below(&prng, 2), &failed);
        if (edu_busy()) {
            continue;
        }
        transfers++;
        if (to_memory) {
            wrong += !same(shared_address(source), shared_address(target));
            page_stamp(shared_address(source), transfers);
        }
        to_memory = !to_memory;
        edu_start(to_memory ? target : source, to_memory);
    }
    while (edu_busy()) {
        continue;
    }
    tap_is(failed, 0, "%u conversions", i);
    tap_is(wrong, 0, "%u transfers meanwhile", transfers);
}

/* Convert every other page until there is no mapping left for what is between */
static void test_limit(void)
{
    uint64_t source = base - 2 * PAGE_SIZE, target = base - PAGE_SIZE;
    uint64_t gpa = base, size;
    long ret;

    do {
        page_stamp(shared_address(gpa), 1);
        ret = convert(gpa, PAGE_SIZE, true);
        gpa += 2 * PAGE_SIZE;
    } while (!ret && gpa < base + MAX_LIMIT * PAGE_SIZE);
    size = gpa - base;
    gpa -= 2 * PAGE_SIZE;

    tap_is(ret, -KVM_EFAULT, "after %u conversions the next one is refused",
           (unsigned)((gpa - base) / (2 * PAGE_SIZE)));
    tap_ok(page_has(shared_address(gpa), 1), "the page is as it was");
    tap_ok(copies(gpa, target), "the device still reaches it");
    page_stamp(shared_address(source), 1);
    tap_ok(copies(source, target), "the device still reaches others");

    /* Takes no mapping, but gives back those of all pages between */
    tap_is(convert(base, size, true), 0, "all of it to private");
    tap_is(convert(base, size, false), 0, "all of it to shared");
    page_stamp(shared_address(base), 2);
    tap_ok(copies(base, target), "the device reaches it again");
}

int main(void)
{
    unsigned conversions = param_u64("conversions", 0);

    base = param_u64("base", 16 * MIB);
    assert(memory_is_usable(base, PAGES * PAGE_SIZE));
    let_devices_reach(base, PAGES * PAGE_SIZE);
    if (!edu_init()) {
        return tap_skip_all("no edu device");
    }
    if (param_u64("steps", 1)) {
        test_steps();
    }
    if (param_u64("limit", 0)) {
        test_limit();
    }
    if (conversions) {
        test_conversions(conversions);
    }
    return tap_done();
}
