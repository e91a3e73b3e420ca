/*
 * Guest payload: private accesses to what can never be private
 *
 * Needs the test kernel, see intent.h. KVM reports each such access as a memory
 * fault, but there is nothing to convert, so it can never succeed; QEMU has to
 * stop the machine. The host resets it then: each boot touches something else,
 * after "# touching NAME", and the one after all of them ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PAGE (16 * MIB)

static const struct {
    const char *name;
    uint64_t gpa;
} targets[] = {
    { "hole", 512 * MIB },
    { "mmio", 0xfed00000 },     /* HPET */
    /* Not the payload's own image, which is mapped: that does not fault */
    { "rom", 0xd0000 },
};

#define TARGETS (sizeof(targets) / sizeof(targets[0]))

int main(void)
{
    unsigned boot = boot_begin();

    assert(memory_is_usable(PAGE, PAGE_SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    page_stamp(PAGE, boot);
    tap_is(forget_mapping(PAGE, PAGE_SIZE, false), 0, "explicit conversion");
    touch_private(gpa_to_ptr(PAGE));
    tap_ok(page_was_private(PAGE), "implicit conversion");
    if (boot < TARGETS) {
        tap_comment("touching %s", targets[boot].name);
        touch_private(gpa_to_ptr(targets[boot].gpa));
        tap_ok(false, "the machine stops");
    }
    return tap_done();
}
