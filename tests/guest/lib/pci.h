/*
 * Guest payload library: configuration space of bus 0
 *
 * Configuration mechanism #1 of the PCI Local Bus Specification.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_PCI_H
#define GUEST_PCI_H

#include <stdint.h>

#include "processor.h"

#define PCI_PORT_ADDRESS 0xcf8
#define PCI_PORT_DATA 0xcfc
#define PCI_ENABLE 0x80000000u

static inline void pci_select(unsigned devfn, unsigned reg)
{
    outl(PCI_PORT_ADDRESS, PCI_ENABLE | devfn << 8 | (reg & ~3u));
}

/**
 * pci_read32: read from a device's configuration space
 *
 * @devfn: device number * 8 + function number
 * @reg: offset, a multiple of 4
 */
static inline uint32_t pci_read32(unsigned devfn, unsigned reg)
{
    pci_select(devfn, reg);
    return inl(PCI_PORT_DATA);
}

/**
 * pci_write32: write to a device's configuration space
 *
 * @devfn: device number * 8 + function number
 * @reg: offset, a multiple of 4
 * @value: what to write
 */
static inline void pci_write32(unsigned devfn, unsigned reg, uint32_t value)
{
    pci_select(devfn, reg);
    outl(PCI_PORT_DATA, value);
}

/**
 * pci_write8: write to a device's configuration space
 *
 * @devfn: device number * 8 + function number
 * @reg: offset
 * @value: what to write
 */
static inline void pci_write8(unsigned devfn, unsigned reg, uint8_t value)
{
    pci_select(devfn, reg);
    outb(PCI_PORT_DATA + reg % 4, value);
}

#endif
