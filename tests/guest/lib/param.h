/*
 * Guest payload library: parameters of a payload
 *
 * They come from QEMU's command line: -fw_cfg name=opt/guest/NAME,string=VALUE
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_PARAM_H
#define GUEST_PARAM_H

#include <stdint.h>

/**
 * param_str: get a parameter that is text
 *
 * @name: its name, without "opt/guest/"
 * @fallback: what to return if it is not given
 *
 * Returns: its value, at most 127 characters, which stays valid; or @fallback.
 */
const char *param_str(const char *name, const char *fallback);

/**
 * param_u64: get a parameter that is a number
 *
 * The number is decimal, or hexadecimal after 0x. One of the suffixes K, M, G
 * and T multiplies it by a power of 1024. Panics if it is something else.
 *
 * @name: its name, without "opt/guest/"
 * @fallback: what to return if it is not given
 *
 * Returns: its value, or @fallback.
 */
uint64_t param_u64(const char *name, uint64_t fallback);

#endif /* GUEST_PARAM_H */
