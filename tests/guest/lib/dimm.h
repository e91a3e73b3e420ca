/*
 * Guest payload library: DIMM 0 comes and goes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_DIMM_H
#define GUEST_DIMM_H

#include <stdint.h>

/**
 * dimm_plug: wait for the DIMM
 *
 * The host plugs it when it reads "# step plug", and sends a newline. Panics if
 * it is not where the library maps memory.
 *
 * Returns: the guest-physical address.
 */
uint64_t dimm_plug(void);

/**
 * dimm_unplug: let the DIMM go
 *
 * The host asks for its removal when it reads "# step unplug". It sends a
 * newline at "# step unplugged", once the DIMM is gone.
 */
void dimm_unplug(void);

#endif /* GUEST_DIMM_H */
