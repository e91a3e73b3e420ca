/*
 * Guest payload library: DIMM 0 comes and goes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "dimm.h"

/* Source: docs/specs/acpi_mem_hotplug.rst of QEMU */
#define PORT_MEMORY 0xa00
#define MEMORY_SELECT (PORT_MEMORY + 0x00)
#define MEMORY_ADDRESS_LOW (PORT_MEMORY + 0x00)
#define MEMORY_ADDRESS_HIGH (PORT_MEMORY + 0x04)
#define MEMORY_SIZE_LOW (PORT_MEMORY + 0x08)
#define MEMORY_STATUS (PORT_MEMORY + 0x14)
#define STATUS_ENABLED 0x01
#define STATUS_INSERTED 0x02
#define STATUS_REMOVE 0x04
#define STATUS_EJECT 0x08

uint64_t dimm_plug(void)
{
    uint64_t address;

    tap_comment("step plug");
    guest_wait_for('\n');
    outl(MEMORY_SELECT, 0);
    tap_ok(inb(MEMORY_STATUS) & STATUS_ENABLED, "a DIMM is there");
    outb(MEMORY_STATUS, STATUS_INSERTED);
    address = inl(MEMORY_ADDRESS_LOW) |
              (uint64_t)inl(MEMORY_ADDRESS_HIGH) << 32;
    tap_comment("DIMM at 0x%lx, 0x%x bytes", address, inl(MEMORY_SIZE_LOW));
    if (address < 4 * GIB || address >= MAPPED_GIB * GIB) {
        panic("DIMM at 0x%lx", address);
    }
    return address;
}

void dimm_unplug(void)
{
    tap_comment("step unplug");
    while (!(inb(MEMORY_STATUS) & STATUS_REMOVE)) {
        cpu_relax();
    }
    outb(MEMORY_STATUS, STATUS_REMOVE);
    outb(MEMORY_STATUS, STATUS_EJECT);
    tap_comment("step unplugged");
    guest_wait_for('\n');
    tap_ok(!(inb(MEMORY_STATUS) & STATUS_ENABLED), "the DIMM is gone");
}
