/*
 * Guest payload: convert much memory at once
 *
 * Every other run of pages is private before, so that the conversion changes
 * all the others. "# bench large ticks=T count=N" says how long N took. After
 * "# step done" the payload waits for a newline. May be reset.
 *
 * Parameters:
 *   base   guest-physical address, default 4G
 *   size   bytes, default 512M
 *   run    bytes, default 64K
 *   count  how often, default 1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

int main(void)
{
    uint64_t base = param_u64("base", 4 * GIB);
    uint64_t size = param_u64("size", 512 * MIB);
    uint64_t run = param_u64("run", 64 * KIB);
    uint64_t count = param_u64("count", 1);
    uint64_t ticks = 0, failed = 0, gpa, i;

    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    boot_begin();
    for (i = 0; i < count; i++) {
        uint64_t start;

        failed += convert(base, size, false) != 0;
        for (gpa = base; gpa < base + size; gpa += 2 * run) {
            failed += convert(gpa, run, true) != 0;
        }
        start = rdtsc();
        failed += convert(base, size, true) != 0;
        ticks += rdtsc() - start;
    }
    tap_is(failed, 0, "conversions that failed");
    tap_comment("bench large ticks=%lu count=%lu", ticks, count);
    tap_comment("step done");
    guest_wait_for('\n');
    return tap_done();
}
