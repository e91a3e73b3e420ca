/*
 * Guest payload: write secrets into shared and private memory, for the host
 *
 * At each step it prints "# step NAME gpa=0x... size=0x..." and waits for a
 * newline on the serial port, so that the host can look at the page. Then all
 * of the page, as the guest sees it, is "secret-of-page-GPA-NAME " over and
 * over again, with GPA and NAME as printed; the last repetition is cut off.
 * No secret is ever written anywhere else: the host may look for it in all of
 * memory.
 *
 * Parameter:
 *   base   guest-physical address of the page that is converted explicitly,
 *          default 16M; 2 MiB above it is the one converted implicitly
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define DEFAULT_BASE (16 * MIB)
#define PREFIX "secret-of-page-0x"

/* Not in the same 2 MiB: these could be one mapping */
#define SECOND_PAGE (2 * MIB)

static unsigned hex_length(uint64_t value)
{
    unsigned length = 1;

    while (value >>= 4) {
        length++;
    }
    return length;
}

/* Character of the secret; computed one by one, so that no copy is left */
static char secret_char(uint64_t gpa, const char *step, unsigned i)
{
    unsigned prefix = sizeof(PREFIX) - 1;
    unsigned digits = hex_length(gpa);
    unsigned name = strlen(step);

    i %= prefix + digits + 1 + name + 1;
    if (i < prefix) {
        return PREFIX[i];
    }
    i -= prefix;
    if (i < digits) {
        return "0123456789abcdef"[(gpa >> (4 * (digits - 1 - i))) & 0xf];
    }
    i -= digits;
    if (i == 0) {
        return '-';
    }
    i--;
    return i < name ? step[i] : ' ';
}

static void write_secret(uint64_t gpa, bool is_private, const char *step)
{
    uint64_t here = address_as(gpa, is_private);
    unsigned i;

    for (i = 0; i < PAGE_SIZE; i++) {
        gpa_write8(here + i, secret_char(gpa, step, i));
    }
}

static bool has_secret(uint64_t gpa, bool is_private, const char *step)
{
    uint64_t here = address_as(gpa, is_private);
    unsigned i;

    for (i = 0; i < PAGE_SIZE; i++) {
        if (gpa_read8(here + i) != secret_char(gpa, step, i)) {
            return false;
        }
    }
    return true;
}

static void write_and_let_host_look(uint64_t gpa, bool is_private,
                                    const char *step)
{
    write_secret(gpa, is_private, step);
    tap_comment("step %s gpa=0x%lx size=0x%llx", step, gpa, PAGE_SIZE);
    guest_wait_for('\n');
    tap_ok(has_secret(gpa, is_private, step), "%s: the guest has its secret",
           step);
}

static long convert_explicitly(uint64_t gpa, bool to_private)
{
    return convert(gpa, PAGE_SIZE, to_private);
}

static long convert_implicitly(uint64_t gpa, bool to_private)
{
    long ret;

    if (c_bit() || tdx_present()) {
        gpa_read8(address_as(gpa, to_private));
        return 0;
    }
    ret = forget_mapping(gpa, PAGE_SIZE, !to_private);
    if (to_private) {
        touch_private(gpa_to_ptr(gpa));
    } else {
        touch_shared(gpa_to_ptr(gpa));
    }
    return ret;
}

static void test_page(uint64_t gpa, long (*convert_page)(uint64_t, bool),
                      const char *shared, const char *private,
                      const char *shared_again)
{
    if (!tap_is(convert(gpa, PAGE_SIZE, false), 0,
                "start with shared memory")) {
        return;
    }
    write_and_let_host_look(gpa, false, shared);

    tap_is(convert_page(gpa, true), 0, "%s: conversion", private);
    tap_ok(page_is_new(gpa, true), "%s: shows nothing at first", private);
    write_and_let_host_look(gpa, true, private);

    tap_is(convert_page(gpa, false), 0, "%s: conversion", shared_again);
    /* Whether it is zero is up to QEMU's discard policy */
    tap_ok(page_is_zero(shared_address(gpa)) || has_secret(gpa, false, shared),
           "%s: no private secret", shared_again);
    write_and_let_host_look(gpa, false, shared_again);
}

int main(void)
{
    uint64_t base = param_u64("base", DEFAULT_BASE);

    if (base % PAGE_SIZE || !memory_is_usable(base, SECOND_PAGE + PAGE_SIZE)) {
        panic("0x%lx is no usable page", base);
    }
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    test_page(base, convert_explicitly,
              "shared", "private", "shared-again");
    test_page(base + SECOND_PAGE, convert_implicitly,
              "implicit-shared", "implicit-private", "implicit-shared-again");
    return tap_done();
}
