/*
 * Guest payload: as many fragments as a device can have mapped, and a reset
 *
 * Converts every other page to private until that is refused, as no mapping is
 * left for what remains shared, and resets the machine. All of that must be
 * shared then, and the machine must run.
 *
 * Parameters:
 *   base  guest-physical address, default 16M
 *   size  bytes, default 16M
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

int main(void)
{
    uint64_t base = param_u64("base", 16 * MIB);
    uint64_t size = param_u64("size", 16 * MIB);
    unsigned boot = boot_begin();
    unsigned count = 0;
    uint64_t gpa;

    assert(memory_is_usable(base, size));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    for (gpa = base; gpa < base + size; gpa += 2 * PAGE_SIZE) {
        if (convert(gpa, PAGE_SIZE, true)) {
            break;
        }
        count++;
    }
    tap_ok(count > 1, "%u fragments", count);
    tap_ok(gpa < base + size, "then no more");
    if (boot < 3) {
        tap_done();
        guest_reset();
    }
    return tap_done();
}
