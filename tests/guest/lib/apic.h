/*
 * Guest payload library: local APIC
 *
 * Source: Intel SDM volume 3, "Advanced Programmable Interrupt Controller".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_APIC_H
#define GUEST_APIC_H

#include <stdint.h>

/* apic_init_cpu: enable the calling CPU's APIC, in x2APIC mode if it can */
void apic_init_cpu(void);

/* apic_id: APIC ID of the calling CPU */
uint32_t apic_id(void);

/**
 * apic_start_others: send INIT and twice start-up to all other CPUs
 *
 * @address: where they start in real mode; multiple of 4096 below 1 MiB
 */
void apic_start_others(uint32_t address);

/**
 * apic_send: send an interrupt
 *
 * @id: APIC ID of the CPU that gets it
 * @vector: its vector
 */
void apic_send(uint32_t id, uint8_t vector);

/* apic_send_smi: send a system management interrupt to the CPU with that ID */
void apic_send_smi(uint32_t id);

/* apic_start_timer: have it interrupt this CPU once, soon */
void apic_start_timer(uint8_t vector);

/* apic_end_of_interrupt: to be called by the handler of an interrupt */
void apic_end_of_interrupt(void);

#endif /* GUEST_APIC_H */
