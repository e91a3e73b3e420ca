/*
 * Guest payload library: payloads that go through a reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_BOOT_H
#define GUEST_BOOT_H

/**
 * boot_begin: find out how often the machine has been reset, and print it
 *
 * The line is "# boot N". It separates the reports of a payload that starts
 * several times: each has its own results and its own plan. To be called once
 * per boot, before anything is reported.
 *
 * The count is in CMOS RAM, which a reset leaves alone and nothing else uses.
 *
 * Returns: 0 when QEMU has just been started, 1 after the first reset, ...
 */
unsigned boot_begin(void);

#endif /* GUEST_BOOT_H */
