/*
 * Guest payload: resets while CPUs write to the port of QEMU's virtual APIC
 *
 * The port is for an option ROM of QEMU's, which is not there. All CPUs except
 * the first one write to it without an end, until the first one has the machine
 * reset.
 *
 * Parameter:
 *   resets   how often, default 20
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PORT_VAPIC 0x7e
#define PATCH_AGAIN 0           /* its value does not matter, its size does */

static void write_for_ever(void *arg)
{
    for (;;) {
        outb(PORT_VAPIC, PATCH_AGAIN);
    }
}

int main(void)
{
    unsigned boot = boot_begin();
    unsigned cpus = smp_start();
    unsigned i;

    tap_ok(cpus > 1, "there are CPUs to write");
    if (boot == param_u64("resets", 20)) {
        return tap_done();
    }
    for (i = 1; i < cpus; i++) {
        smp_run(i, write_for_ever, NULL);
    }
    tap_done();
    guest_reset();
}
