/*
 * Guest payload: memory that is private from the start
 *
 * Prints "# step first" at once, uses a page at the bottom of private memory, one
 * at its top and, if it says so, one in each chunk between, and makes memory
 * shared that nobody has used before.
 *
 * Parameters:
 *   base    where private memory begins; it ends where RAM ends. Below, the
 *           payload itself is: KVM cannot emulate what is in private memory
 *   chunk   bytes from one page that is used to the next; 0 (default) for none
 *   intent  whether to say with each access what it means: 0 (default) or 1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PATTERN 0x5a

static bool with_intent;

static uint64_t max(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint8_t read_private(uint64_t gpa)
{
    return with_intent ? intent_read8(gpa_to_ptr(gpa), INTENT_PRIVATE)
                       : gpa_read8(gpa);
}

static void write_private(uint64_t gpa, uint8_t value)
{
    if (with_intent) {
        intent_write8(gpa_to_ptr(gpa), value, INTENT_PRIVATE);
    } else {
        gpa_write8(gpa, value);
    }
}

static bool is_usable(uint64_t gpa)
{
    write_private(gpa, PATTERN);
    return read_private(gpa) == PATTERN && read_private(gpa + 1) == 0;
}

static unsigned use_chunks(uint64_t base, uint64_t chunk)
{
    unsigned count, i, bad = 0;
    const MemoryRange *range = memory_ranges(&count);

    for (i = 0; i < count; i++) {
        uint64_t gpa = max(range[i].base, base);

        for (; gpa < range[i].base + range[i].size; gpa += chunk) {
            bad += !is_usable(gpa);
        }
    }
    return bad;
}

int main(void)
{
    uint64_t base, chunk, top, middle;
    unsigned count;
    const MemoryRange *last;

    tap_comment("step first");
    last = &memory_ranges(&count)[count - 1];
    base = param_u64("base", 64 * MIB);
    chunk = param_u64("chunk", 0);
    with_intent = param_u64("intent", 0);
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }

    tap_ok(is_usable(base), "bottom");
    top = last->base + last->size - PAGE_SIZE;
    tap_ok(is_usable(top), "top");

    /* Shared before anything there was used, and next to what was */
    tap_is(convert(top - PAGE_SIZE, PAGE_SIZE, false), 0, "to shared");
    gpa_write8(top - PAGE_SIZE, PATTERN);
    tap_is(read_private(top), PATTERN, "the next page is what it was");
    middle = ((max(last->base, base) + top) / 2) & ~(2 * MIB - 1);
    tap_is(convert(middle, PAGE_SIZE, false), 0, "to shared, first of all");
    gpa_write8(middle, PATTERN);
    tap_ok(is_usable(middle + PAGE_SIZE), "the page behind it");
    tap_is(gpa_read8(middle), PATTERN, "the shared page");

    tap_comment("step all");
    if (chunk) {
        tap_is(use_chunks(base, chunk), 0, "bad pages");
    }
    tap_comment("step done");
    return tap_done();
}
