/*
 * Guest payload: after a reset all memory is shared, and private halves empty
 *
 * Leaves secrets in private pages, and is reset: first from outside, for which
 * it prints "# step reset" and waits for ever, then by a triple fault, then
 * through the reset control register. Each boot reports what it found; the
 * fourth one ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

static const struct {
    const char *name;
    uint64_t base;
    uint64_t size;
    uint64_t stride;            /* from one private page to the next */
} ranges[] = {
    { "a page below 1 MiB", 0x9e000, PAGE_SIZE, PAGE_SIZE },
    { "a page", 16 * MIB, PAGE_SIZE, PAGE_SIZE },
    { "2 MiB", 32 * MIB, 2 * MIB, PAGE_SIZE },
    { "every other page", 64 * MIB, 256 * KIB, 2 * PAGE_SIZE },
};

#define RANGES (sizeof(ranges) / sizeof(ranges[0]))

static void leave_secrets(unsigned boot)
{
    uint64_t failed = 0;
    uint64_t offset;
    unsigned i;

    for (i = 0; i < RANGES; i++) {
        failed += convert(ranges[i].base, ranges[i].size, true) != 0;
        for (offset = 0; offset < ranges[i].size; offset += PAGE_SIZE) {
            uint64_t gpa = ranges[i].base + offset;

            if (offset % ranges[i].stride) {
                failed += convert(gpa, PAGE_SIZE, false) != 0;
            }
            page_stamp(gpa, boot);
        }
    }
    tap_is(failed, 0, "conversions");
}

static void look_for_secrets(unsigned boot)
{
    uint64_t offset;
    unsigned i;

    for (i = 0; i < RANGES; i++) {
        unsigned visible = 0, private = 0, hidden = 0;

        for (offset = 0; offset < ranges[i].size; offset += ranges[i].stride) {
            uint64_t gpa = ranges[i].base + offset;

            visible += boot && page_has(gpa, boot - 1);
            private += page_was_private(gpa);
            hidden += !page_is_zero(gpa);
        }
        tap_is(visible, 0, "%s: no secret is visible", ranges[i].name);
        tap_is(private, 0, "%s: was shared", ranges[i].name);
        tap_is(hidden, 0, "%s: the private half was empty", ranges[i].name);
    }
}

int main(void)
{
    unsigned boot = boot_begin();
    int status;

    assert(memory_is_usable(16 * MIB, 64 * MIB));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    look_for_secrets(boot);
    leave_secrets(boot);
    status = tap_done();
    if (boot == 0) {
        tap_comment("step reset");
        guest_wait_for('\0');
    } else if (boot == 1) {
        guest_triple_fault();
    } else if (boot == 2) {
        guest_reset();
    }
    return status;
}
