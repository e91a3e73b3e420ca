/*
 * Guest payload: memory that can be read, and neither written nor made private
 *
 * Parameters:
 *   base    its guest-physical address
 *   word    what its first eight bytes are
 *   device  1: it is BAR 2 of an ivshmem-plain device, to be mapped at the base;
 *           default 0
 *
 * Waits for a newline at "# step ready", so that the host can plug it first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "pci.h"

/* Source: docs/specs/ivshmem-spec.rst of QEMU */
#define ID_IVSHMEM 0x11101af4   /* device and vendor */
#define SLOTS 32

#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY 2
#define PCI_BAR2 0x18

static bool map_device(uint64_t base)
{
    unsigned devfn;

    for (devfn = 0; devfn < SLOTS * 8; devfn += 8) {
        if (pci_read32(devfn, 0) == ID_IVSHMEM) {
            pci_write32(devfn, PCI_BAR2, base);
            pci_write32(devfn, PCI_BAR2 + 4, base >> 32);
            pci_write32(devfn, PCI_COMMAND, PCI_COMMAND_MEMORY);
            return true;
        }
    }
    return false;
}

int main(void)
{
    uint64_t base = param_u64("base", 0), word = param_u64("word", 0);

    if (param_u64("device", 0)) {
        tap_ok(map_device(base), "the device is mapped");
    }
    tap_comment("step ready");
    guest_wait_for('\n');

    tap_is(gpa_read64(base), word, "it can be read");
    gpa_write64(base, ~word);
    tap_is(gpa_read64(base), word, "it cannot be written");
    tap_is(convert(base, PAGE_SIZE, true), -KVM_EOPNOTSUPP, "nor made private");
    tap_is(convert(base, PAGE_SIZE, false), 0, "it is shared");
    tap_is(gpa_read64(base), word, "it is as it was");
    return tap_done();
}
