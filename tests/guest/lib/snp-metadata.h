/*
 * Guest payload library: what an image tells QEMU about itself, for SEV-SNP
 *
 * A table of GUIDs at the end of the image, as OVMF has it, and the list of
 * pages that QEMU launches besides the image. Other VMs do not look at them.
 *
 * Source: target/i386/sev.c and hw/i386/pc_sysfw_ovmf.c of QEMU.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_SNP_METADATA_H
#define GUEST_SNP_METADATA_H

/* Pages below 1 MiB that the payload does not use for anything else */
#define SNP_SECRETS_PAGE 0x9000
#define SNP_CPUID_PAGE 0xa000
#define SNP_HASHES_PAGE 0xb000

#define SNP_DESC_ZERO 1
#define SNP_DESC_SECRETS 2
#define SNP_DESC_CPUID 3
#define SNP_DESC_HASHES 0x10

#ifdef __ASSEMBLER__

#define SNP_TABLE_SIZE (22 + 22 + 26 + 22)

.macro guid first, second, third, b0, b1, b2, b3, b4, b5, b6, b7
    .long \first
    .word \second, \third
    .byte \b0, \b1, \b2, \b3, \b4, \b5, \b6, \b7
.endm

/* To be used in the last @size bytes of the image, aligned to 4 */
.macro SNP_METADATA size
snp_metadata:
    .ascii "ASEV"
    .long snp_metadata_end - snp_metadata
    .long 1                     /* version */
    .long 4                     /* base, size and type of pages, so often: */
    .long SNP_SECRETS_PAGE, 0x1000, SNP_DESC_SECRETS
    .long SNP_CPUID_PAGE, 0x1000, SNP_DESC_CPUID
    .long SNP_HASHES_PAGE, 0x1000, SNP_DESC_HASHES
    .long PAYLOAD_START, PAYLOAD_LIMIT - PAYLOAD_START, SNP_DESC_ZERO
snp_metadata_end:

    /* What QEMU expects 32 bytes before the image's end; each entry is data,
       the size of the entry, its GUID */
    .org \size - 0x20 - 16 - 2 - SNP_TABLE_SIZE
    .long \size - (tdx_metadata - boot_start) /* from the image's end */
    .word 4 + 2 + 16
    guid 0xe47a6535, 0x984a, 0x4798, 0x86, 0x5e, 0x46, 0x85, 0xa7, 0xbf, 0x8e, 0xc2
    .long 0xfffffff0            /* where other CPUs start under SEV-ES */
    .word 4 + 2 + 16
    guid 0x00f771de, 0x1a7e, 0x4fcb, 0x89, 0x0e, 0x68, 0xc7, 0x7e, 0x2f, 0xb4, 0x4e
    .long SNP_HASHES_PAGE, 0x1000
    .word 8 + 2 + 16
    guid 0x7255371f, 0x3a3b, 0x4b04, 0x92, 0x7b, 0x1d, 0xa6, 0xef, 0xa8, 0xd4, 0x54
    .long \size - (snp_metadata - boot_start) /* from the image's end */
    .word 4 + 2 + 16
    guid 0xdc886566, 0x984a, 0x4798, 0xa7, 0x5e, 0x55, 0x85, 0xa7, 0xbf, 0x67, 0xcc
    .word SNP_TABLE_SIZE + 2 + 16
    guid 0x96b582de, 0x1fb2, 0x45f7, 0xba, 0xea, 0xa3, 0x66, 0xc5, 0x5a, 0x08, 0x2d
.endm

#endif /* __ASSEMBLER__ */

#endif /* GUEST_SNP_METADATA_H */
