/*
 * Guest payload library: from start.S to the payload's main()
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "entry.h"

void cpu_main(unsigned index)
{
    smp_init_cpu(index);
    if (index == 0) {
        exception_init();
        exception_init_cpu();
        tdx_init();
        console_init();
        guest_exit(main());
    }
    exception_init_cpu();
    smp_idle();
}
