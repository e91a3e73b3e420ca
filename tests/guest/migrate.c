/*
 * Guest payload: write to memory while it is migrated
 *
 * Prints "# writing" and then writes the number of the round to each page, round
 * after round, until it gets a newline. Then all pages must have the number of
 * the last round, wherever the guest is by then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define BASE (16 * MIB)
#define SIZE (16 * MIB)

int main(void)
{
    uint64_t gpa, round = 0;
    unsigned stale = 0;

    assert(memory_is_usable(BASE, SIZE));
    tap_comment("writing");
    while (!console_has_input()) {
        round++;
        for (gpa = BASE; gpa < BASE + SIZE; gpa += PAGE_SIZE) {
            gpa_write64(gpa, round);
        }
    }
    guest_wait_for('\n');
    for (gpa = BASE; gpa < BASE + SIZE; gpa += PAGE_SIZE) {
        stale += gpa_read64(gpa) != round;
    }
    tap_is(stale, 0, "pages that miss a write");
    return tap_done();
}
