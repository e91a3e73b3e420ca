/*
 * Guest payload library: what an image tells QEMU about itself, for TDX
 *
 * The list of sections of memory that a TD is launched with. snp-metadata.h has
 * the table of GUIDs in which QEMU finds it.
 *
 * Source: hw/i386/tdvf.c of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_TDX_METADATA_H
#define GUEST_TDX_METADATA_H

/* Pages below 1 MiB: zeros from AP_TRAMPOLINE up, then QEMU's list of memory */
#define TDX_HOB_PAGE 0xc000

#define TDX_SECTION_BFV 0
#define TDX_SECTION_TD_HOB 2
#define TDX_SECTION_TEMP_MEM 3
#define TDX_SECTION_MEASURE 1

#ifdef __ASSEMBLER__

.macro tdx_section offset, image_bytes, address, bytes, type, attributes
    .long \offset, \image_bytes
    .quad \address, \bytes
    .long \type, \attributes
.endm

.macro TDX_METADATA
tdx_metadata:
    .ascii "TDVF"
    .long tdx_metadata_end - tdx_metadata
    .long 1                     /* version */
    .long 4                     /* sections */
    tdx_section 0, image_size, image_rom, image_size, TDX_SECTION_BFV, \
                TDX_SECTION_MEASURE
    tdx_section 0, 0, AP_TRAMPOLINE, (TDX_HOB_PAGE - AP_TRAMPOLINE), \
                TDX_SECTION_TEMP_MEM, 0
    tdx_section 0, 0, TDX_HOB_PAGE, 0x1000, TDX_SECTION_TD_HOB, 0
    tdx_section 0, 0, PAYLOAD_START, (PAYLOAD_LIMIT - PAYLOAD_START), \
                TDX_SECTION_TEMP_MEM, 0
tdx_metadata_end:
.endm

#endif /* __ASSEMBLER__ */

#endif /* GUEST_TDX_METADATA_H */
