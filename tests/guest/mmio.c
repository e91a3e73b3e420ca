/*
 * Guest payload: MMIO by code that is in private memory
 *
 * KVM emulates such an access. It cannot read the instruction from private
 * memory, so the CPU has to say what it is: with SVM's decode assists it does.
 * In the shared half there is other code, which loads something else.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define CODE (16 * MIB)
#define HPET 0xfed00000
#define HPET_PERIOD (HPET + 4)  /* of its counter, in femtoseconds */
#define PERIOD 10000000
#define LOADED 0x55

static const uint8_t private_code[] = {
    0x8b, 0x07,                 /* mov (%rdi), %eax */
    0xc3,
};
static const uint8_t shared_code[] = {
    0xb0, LOADED, 0x90, 0xc3,   /* mov $LOADED, %al */
};

int main(void)
{
    uint32_t (*load)(uint64_t) = gpa_to_ptr(CODE);

    assert(memory_is_usable(CODE, PAGE_SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    tap_is(convert(CODE, PAGE_SIZE, false), 0, "the page is shared");
    memcpy(gpa_to_ptr(CODE), shared_code, sizeof(shared_code));
    tap_is(load(HPET_PERIOD) & 0xff, LOADED, "shared code runs");
    tap_is(convert(CODE, PAGE_SIZE, true), 0, "the page is private");
    memcpy(gpa_to_ptr(CODE), private_code, sizeof(private_code));
    tap_is(load(HPET_PERIOD), PERIOD, "private code reads a device");
    return tap_done();
}
