/*
 * Guest payload library: payloads that go through a reset
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PORT_CMOS_INDEX 0x70
#define PORT_CMOS_DATA 0x71
#define CMOS_BOOTS 0x7f         /* the last byte; QEMU leaves it 0 */

unsigned boot_begin(void)
{
    unsigned boot;

    outb(PORT_CMOS_INDEX, CMOS_BOOTS);
    boot = inb(PORT_CMOS_DATA);
    outb(PORT_CMOS_DATA, boot + 1);
    tap_comment("boot %u", boot);
    return boot;
}
