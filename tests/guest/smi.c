/*
 * Guest payload: system management mode on a machine that has none
 *
 * KVM ignores the SMI, or it enters the mode all the same, finds no memory there,
 * and gives the VM up: the payload does not come back then.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "apic.h"

int main(void)
{
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    apic_init_cpu();
    apic_send_smi(apic_id());
    tap_ok(true, "the CPU goes on");
    return tap_done();
}
