/*
 * Guest payload: touch a private page that the host has poisoned
 *
 * Waits for a newline at "# step before", so that the host can see which pages
 * are private before. Makes some pages private and uses them, prints
 * "# step poison" and waits for a newline, while the host poisons one of them, and touches them again. The guest
 * has to get a machine check that names the page, and to go on without it.
 *
 * Parameter:
 *   how      "take" the machine check (default), and do without the page;
 *            "disable" the reporting of such errors beforehand; or "repeat" the
 *            access, whatever the machine check says. The latter two are not
 *            meant to come to an end.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define BASE (16 * MIB)
#define SIZE (1 * MIB)

/* Bank 9, where QEMU injects memory errors */
#define MSR_MC9_CTL (0x400 + 4 * 9)
#define MSR_MC9_STATUS (0x401 + 4 * 9)
#define MSR_MC9_ADDR (0x402 + 4 * 9)
#define MCI_STATUS_VALID (1ull << 63)
#define MCI_STATUS_UNCORRECTED (1ull << 61)
#define MCI_STATUS_ADDRESS_VALID (1ull << 58)

static volatile uint64_t reading;

static void read_pages(void *unused)
{
    for (reading = BASE; reading < BASE + SIZE; reading += PAGE_SIZE) {
        gpa_read8(reading);
    }
}

static void repeat(void)
{
    while (fault_catch(read_pages, NULL, NULL) == VECTOR_MC) {
        continue;
    }
}

int main(void)
{
    const char *how = param_str("how", "take");
    uint64_t status, gpa;

    assert(memory_is_usable(BASE, SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    tap_comment("step before");
    guest_wait_for('\n');
    tap_is(convert(BASE, SIZE, true), 0, "conversion");
    for (gpa = BASE; gpa < BASE + SIZE; gpa += PAGE_SIZE) {
        gpa_write8(gpa, 0x77);
    }
    if (!strcmp(how, "disable")) {
        wrmsr(MSR_MC9_CTL, 0);
    }
    tap_comment("step poison");
    guest_wait_for('\n');

    if (!strcmp(how, "repeat")) {
        repeat();
    }
    tap_is(fault_catch(read_pages, NULL, NULL), VECTOR_MC, "machine check");
    status = rdmsr(MSR_MC9_STATUS);
    tap_ok((status & MCI_STATUS_VALID) && (status & MCI_STATUS_UNCORRECTED) &&
           (status & MCI_STATUS_ADDRESS_VALID),
           "that says what it is: 0x%lx", status);
    tap_is(rdmsr(MSR_MC9_ADDR), reading, "and where");

    gpa = reading;
    tap_is(convert(gpa, PAGE_SIZE, false), 0, "back to shared");
    gpa_write8(gpa, 0x11);
    tap_is(convert(gpa, PAGE_SIZE, true), 0, "and to private again");
    tap_ok(page_is_new(gpa, true), "which is a good page now");
    tap_is(fault_catch(read_pages, NULL, NULL), VECTOR_NONE, "as all others");
    return tap_done();
}
