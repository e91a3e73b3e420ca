/*
 * Guest payload library: everything that a payload includes
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "boot.h"
#include "c-bit.h"
#include "console.h"
#include "exception.h"
#include "exit.h"
#include "fwcfg.h"
#include "ghcb.h"
#include "intent.h"
#include "kvm.h"
#include "layout.h"
#include "memory.h"
#include "page.h"
#include "param.h"
#include "pci.h"
#include "prng.h"
#include "processor.h"
#include "smp.h"
#include "string.h"
#include "sync.h"
#include "tap.h"
#include "tdx.h"

/**
 * main: the payload itself
 *
 * Returns: an exit status for guest_exit(), usually that of tap_done().
 */
int main(void);

#endif /* GUEST_GUEST_H */
