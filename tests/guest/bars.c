/*
 * Guest payload: device memory that the guest moves to wherever it likes
 *
 * Moves the second base address register (BAR 2) of an ivshmem, whose memory
 * becomes a memslot, to addresses that KVM can map, to such that it cannot, and
 * back. Where it can, the memory must be there.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define ID_IVSHMEM 0x11101af4   /* device and vendor */
#define PCI_ID 0x00
#define PCI_COMMAND 0x04
#define PCI_COMMAND_MEMORY 0x02
#define PCI_BAR2 0x18

#define HOME (32 * GIB)         /* mapped by the payload, above all RAM */
#define STAMP 0x6261727321ULL

static unsigned devfn;

static bool find_device(void)
{
    for (devfn = 0; devfn < 256; devfn += 8) {
        if (pci_read32(devfn, PCI_ID) == ID_IVSHMEM) {
            return true;
        }
    }
    return false;
}

static void move(uint64_t gpa)
{
    pci_write32(devfn, PCI_COMMAND, 0);
    pci_write32(devfn, PCI_BAR2, gpa);
    pci_write32(devfn, PCI_BAR2 + 4, gpa >> 32);
    pci_write32(devfn, PCI_COMMAND, PCI_COMMAND_MEMORY);
}

int main(void)
{
    unsigned bit;

    if (!find_device()) {
        return tap_skip_all("no ivshmem");
    }
    move(HOME);
    gpa_write64(HOME, STAMP);
    tap_is(gpa_read64(HOME), STAMP, "memory is there");
    for (bit = 36; bit < 64; bit++) {
        move(1ULL << bit);
        move(HOME);
        tap_is(gpa_read64(HOME), STAMP, "memory was at bit %u", bit);
    }
    move(~0ULL << 32);
    move(HOME);
    tap_is(gpa_read64(HOME), STAMP, "memory was near the end");
    return tap_done();
}
