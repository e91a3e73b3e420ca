/*
 * Guest payload library: QEMU's "edu" device, for its DMA engine
 *
 * Source: docs/specs/edu.rst of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_EDU_H
#define GUEST_EDU_H

#include <stdbool.h>
#include <stdint.h>

/* The device reaches guest-physical addresses below that only */
#define EDU_ADDRESS_LIMIT (1ULL << 28)

/*
 * How much a transfer moves, in bytes. The device's buffer has 4096, but some
 * QEMUs end if its last byte is used.
 */
#define EDU_TRANSFER 2048

/**
 * edu_init: find the device on bus 0, give it an address and let it do DMA
 *
 * Returns: false if there is none.
 */
bool edu_init(void);

/**
 * edu_start: start a transfer of EDU_TRANSFER bytes
 *
 * It takes about 100 ms.
 *
 * @gpa: guest-physical address
 * @to_memory: from the device's buffer to memory, else from memory to it
 */
void edu_start(uint64_t gpa, bool to_memory);

/* edu_busy: whether the transfer is not over yet; nobody tells how it went */
bool edu_busy(void);

/**
 * edu_transfer: transfer EDU_TRANSFER bytes, and wait for the end
 *
 * @gpa: guest-physical address
 * @to_memory: as for edu_start()
 */
void edu_transfer(uint64_t gpa, bool to_memory);

#endif /* GUEST_EDU_H */
