/*
 * Guest payload library: where things are in guest-physical memory
 *
 * Included by assembly code too, so there is nothing but numbers in it. The
 * linker script guest.ld repeats PAYLOAD_START and PAYLOAD_LIMIT.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_LAYOUT_H
#define GUEST_LAYOUT_H

/* One page below 1 MiB where application processors start, in real mode */
#define AP_TRAMPOLINE 0x8000

/* The payload runs here: code, data, stacks and page tables */
#define PAYLOAD_START 0x100000

/* First byte that the payload does not occupy; tests own RAM from here up */
#define PAYLOAD_LIMIT 0x400000

/* Guest-physical memory that is mapped, one to one, in GiB */
#define MAPPED_GIB 64

/* After it the first GiBs are mapped again, as shared, if the guest says which */
#define SHARED_WINDOW 0x1000000000
#define SHARED_GIB 8            /* devices and DIMMs are there too */

/* Page table entries: present, writable; and large, of 2 MiB or 1 GiB */
#define PTE_TABLE 0x03
#define PTE_LARGE 0x83

#define MAX_CPUS 64
#define STACK_SIZE 0x4000

/* Segment selectors */
#define SEL_CODE32 0x08
#define SEL_DATA 0x10
#define SEL_CODE64 0x18

#endif /* GUEST_LAYOUT_H */
