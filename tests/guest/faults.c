/*
 * Guest payload: private accesses to what can never be private
 *
 * Needs the test kernel, see intent.h. KVM reports each such access as a memory
 * fault, but there is nothing to convert, so it can never succeed; QEMU has to
 * stop the machine, whatever CPU 1, if there is one, converts meanwhile. The
 * host resets the machine then. Each boot touches something else, after
 * "# touching NAME", and the one after all of them ends.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PAGE (16 * MIB)
#define OTHER_PAGE (32 * MIB)   /* of CPU 1 */

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

static void convert_for_ever(void *arg)
{
    bool to_private = false;

    for (;;) {
        to_private = !to_private;
        convert(OTHER_PAGE, PAGE_SIZE, to_private);
    }
}

int main(void)
{
    unsigned boot = boot_begin();

    assert(memory_is_usable(PAGE, OTHER_PAGE + PAGE_SIZE - PAGE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    page_stamp(PAGE, boot);
    tap_is(forget_mapping(PAGE, PAGE_SIZE, false), 0, "explicit conversion");
    touch_private(gpa_to_ptr(PAGE));
    tap_ok(page_was_private(PAGE), "implicit conversion");
    if (smp_start() > 1) {
        smp_run(1, convert_for_ever, NULL);
    }
    if (boot < TARGETS) {
        tap_comment("touching %s", targets[boot].name);
        touch_private(gpa_to_ptr(targets[boot].gpa));
        tap_ok(false, "the machine stops");
    }
    return tap_done();
}
