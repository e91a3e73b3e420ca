/*
 * Guest payload library: virtio devices by their legacy interface
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "exit.h"
#include "memory.h"
#include "pci.h"
#include "virtio.h"

#define VENDOR 0x1af4
#define SLOTS 32

#define PCI_COMMAND 4
#define PCI_COMMAND_IO 1
#define PCI_COMMAND_MASTER 4
#define PCI_BAR0 0x10

/* Nothing else is there: no firmware has given addresses to anyone */
#define PORTS 0xc000

#define PORT_FEATURES 4
#define PORT_QUEUE_PAGE 8
#define PORT_QUEUE_SIZE 12
#define PORT_QUEUE_SELECT 14
#define PORT_QUEUE_NOTIFY 16
#define PORT_STATUS 18

#define STATUS_ACKNOWLEDGE 1
#define STATUS_DRIVER 2
#define STATUS_DRIVER_OK 4

#define DESCRIPTOR_SIZE 16
#define DESCRIPTOR_NEXT 1
#define DESCRIPTOR_WRITE 2

uint16_t virtio_init(uint16_t id)
{
    unsigned devfn;

    for (devfn = 0; devfn < SLOTS * 8; devfn += 8) {
        if (pci_read32(devfn, 0) == (VENDOR | (uint32_t)id << 16)) {
            pci_write32(devfn, PCI_BAR0, PORTS);
            pci_write8(devfn, PCI_COMMAND, PCI_COMMAND_IO | PCI_COMMAND_MASTER);
            outb(PORTS + PORT_STATUS, 0);
            outb(PORTS + PORT_STATUS, STATUS_ACKNOWLEDGE | STATUS_DRIVER);
            outl(PORTS + PORT_FEATURES, 0);
            return PORTS;
        }
    }
    return 0;
}

void virtio_queue(VirtioQueue *q, uint16_t ports, uint16_t index, uint64_t gpa)
{
    uint64_t offset;

    outw(ports + PORT_QUEUE_SELECT, index);
    q->ports = ports;
    q->index = index;
    q->size = inw(ports + PORT_QUEUE_SIZE);
    q->offered = 0;
    q->descriptors = gpa;
    q->available = gpa + q->size * DESCRIPTOR_SIZE;
    q->used = (q->available + 6 + 2 * q->size + PAGE_SIZE - 1) &
              ~(PAGE_SIZE - 1);
    assert(q->size && q->used + 6 + 8 * q->size <= gpa + VIRTIO_QUEUE_SIZE);
    for (offset = 0; offset < VIRTIO_QUEUE_SIZE; offset += sizeof(uint64_t)) {
        gpa_write64(gpa + offset, 0);
    }
    outl(ports + PORT_QUEUE_PAGE, gpa / PAGE_SIZE);
}

void virtio_ready(uint16_t ports)
{
    outb(ports + PORT_STATUS,
         STATUS_ACKNOWLEDGE | STATUS_DRIVER | STATUS_DRIVER_OK);
}

static uint16_t read16(uint64_t gpa)
{
    return *(volatile uint16_t *)gpa_to_ptr(gpa); /* volatile: DMA */
}

static void write16(uint64_t gpa, uint16_t value)
{
    *(volatile uint16_t *)gpa_to_ptr(gpa) = value; /* volatile: DMA */
}

static void describe(const VirtioQueue *q, unsigned i, uint64_t gpa,
                     uint32_t size, unsigned flags)
{
    uint64_t descriptor = q->descriptors + i * DESCRIPTOR_SIZE;

    gpa_write64(descriptor, gpa);
    gpa_write64(descriptor + 8, size | (uint64_t)flags << 32 |
                                (uint64_t)(i + 1) << 48);
}

void virtio_offer(VirtioQueue *q, uint64_t out, uint32_t out_size, uint64_t in,
                  uint32_t in_size)
{
    unsigned n = 0;

    if (out_size) {
        describe(q, n++, out, out_size, in_size ? DESCRIPTOR_NEXT : 0);
    }
    if (in_size) {
        describe(q, n, in, in_size, DESCRIPTOR_WRITE);
    }
    /* All of the ring's entries are 0, which is where the chain begins */
    write16(q->available + 2, ++q->offered);
    outw(q->ports + PORT_QUEUE_NOTIFY, q->index);
}

bool virtio_is_used(const VirtioQueue *q)
{
    return read16(q->used + 2) == q->offered;
}
