/*
 * Guest payload library: QEMU's firmware configuration device
 *
 * It is read by port I/O, byte by byte: the device's DMA interface needs shared
 * memory.
 * Source: docs/specs/fw_cfg.rst of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_FWCFG_H
#define GUEST_FWCFG_H

#include <stdbool.h>
#include <stdint.h>

/* fwcfg_ram_size: RAM of the machine in bytes, without hotplugged memory */
uint64_t fwcfg_ram_size(void);

/* fwcfg_cpu_count: number of CPUs that the machine starts with */
unsigned fwcfg_cpu_count(void);

/**
 * fwcfg_read_file: read a file, or the beginning of it
 *
 * Not to be called by two CPUs at once.
 *
 * @name: its full name, such as "opt/guest/size"
 * @buf: where to store the contents
 * @size: how many bytes to read at most
 *
 * Returns: the size of the whole file in bytes, or -1 if there is none.
 */
long fwcfg_read_file(const char *name, void *buf, uint32_t size);

/**
 * fwcfg_write_file: write a whole file
 *
 * By DMA, so the payload has to be in shared memory. Not to be called by two
 * CPUs at once.
 *
 * @name: its full name, such as "etc/ramfb"
 * @buf: contents
 * @size: how many bytes, as many as the file has
 *
 * Returns: false if there is no such file, or it cannot be written.
 */
bool fwcfg_write_file(const char *name, const void *buf, uint32_t size);

#endif /* GUEST_FWCFG_H */
