/*
 * Guest payload library: virtio devices by their legacy interface
 *
 * It takes port I/O only, and no negotiation that matters here.
 * Source: Virtual I/O Device (VIRTIO) 1.2, the parts "Legacy Interface".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

/* PCI device IDs of transitional devices */
#define VIRTIO_PCI_NET 0x1000
#define VIRTIO_PCI_9P 0x1009

/* Memory that a queue takes, at most: one of 1024 descriptors */
#define VIRTIO_QUEUE_SIZE 0x8000

typedef struct VirtioQueue {
    uint16_t ports;             /* the device's registers */
    uint16_t index;             /* which of its queues */
    uint16_t size;              /* descriptors */
    uint16_t offered;           /* chains, so far */
    uint64_t descriptors;       /* guest-physical addresses */
    uint64_t available;
    uint64_t used;
} VirtioQueue;

/**
 * virtio_init: find a device on bus 0, reset it, and let it do DMA
 *
 * @id: VIRTIO_PCI_*
 *
 * Returns: where its ports are, or 0 if there is none.
 */
uint16_t virtio_init(uint16_t id);

/**
 * virtio_queue: set up a queue, with nothing in it
 *
 * @q: set to what the other functions need
 * @ports: what virtio_init() returned
 * @index: which of the device's queues
 * @gpa: where it can be, VIRTIO_QUEUE_SIZE bytes, page-aligned and shared
 */
void virtio_queue(VirtioQueue *q, uint16_t ports, uint16_t index,
                  uint64_t gpa);

/* virtio_ready: all queues are set up, the device may begin */
void virtio_ready(uint16_t ports);

/**
 * virtio_offer: give the device a chain of one or two buffers
 *
 * Only one chain of a queue can be in use at a time.
 *
 * @q: queue
 * @out: guest-physical address of what the device reads
 * @out_size: bytes, or 0
 * @in: guest-physical address of what the device writes
 * @in_size: bytes, or 0
 */
void virtio_offer(VirtioQueue *q, uint64_t out, uint32_t out_size, uint64_t in,
                  uint32_t in_size);

/* virtio_is_used: whether the device is done with all that it was given */
bool virtio_is_used(const VirtioQueue *q);

#endif /* GUEST_VIRTIO_H */
