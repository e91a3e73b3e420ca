/*
 * Guest payload library: QEMU's "edu" device, for its DMA engine
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "edu.h"
#include "exit.h"
#include "memory.h"
#include "mmio.h"
#include "pci.h"

#define ID_EDU 0x11e81234       /* device and vendor */
#define SLOTS 32

#define PCI_COMMAND 4
#define PCI_COMMAND_MEMORY 2
#define PCI_COMMAND_MASTER 4
#define PCI_BAR0 0x10

/* Nothing else is there: no firmware has given addresses to anyone */
#define EDU_BASE 0xe0000000

#define EDU_ID 0x00
#define EDU_ID_VALUE 0x010000ed
#define EDU_DMA_SOURCE 0x80
#define EDU_DMA_TARGET 0x88
#define EDU_DMA_COUNT 0x90
#define EDU_DMA_COMMAND 0x98
#define EDU_DMA_RUN 1
#define EDU_DMA_TO_MEMORY 2
#define EDU_BUFFER 0x40000      /* as the DMA engine sees it */

static uint32_t read_register(unsigned offset)
{
    return mmio_read32(EDU_BASE + offset);
}

static void write_register(unsigned offset, uint32_t value)
{
    mmio_write32(EDU_BASE + offset, value);
}

bool edu_init(void)
{
    unsigned devfn;

    for (devfn = 0; devfn < SLOTS * 8; devfn += 8) {
        if (pci_read32(devfn, 0) == ID_EDU) {
            pci_write32(devfn, PCI_BAR0, EDU_BASE);
            pci_write8(devfn, PCI_COMMAND,
                       PCI_COMMAND_MEMORY | PCI_COMMAND_MASTER);
            return read_register(EDU_ID) == EDU_ID_VALUE;
        }
    }
    return false;
}

void edu_start(uint64_t gpa, bool to_memory)
{
    assert(gpa + EDU_TRANSFER <= EDU_ADDRESS_LIMIT);
    write_register(EDU_DMA_SOURCE, to_memory ? EDU_BUFFER : gpa);
    write_register(EDU_DMA_TARGET, to_memory ? gpa : EDU_BUFFER);
    write_register(EDU_DMA_COUNT, EDU_TRANSFER);
    write_register(EDU_DMA_COMMAND,
                   EDU_DMA_RUN | (to_memory ? EDU_DMA_TO_MEMORY : 0));
}

bool edu_busy(void)
{
    return read_register(EDU_DMA_COMMAND) & EDU_DMA_RUN;
}

void edu_transfer(uint64_t gpa, bool to_memory)
{
    edu_start(gpa, to_memory);
    while (edu_busy()) {
        continue;
    }
}
