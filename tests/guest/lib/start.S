/*
 * Guest payload library: from the reset vector to cpu_main()
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "layout.h"
#include "snp-metadata.h"
#include "tdx-metadata.h"

#define CR0_PE (1 << 0)
#define CR0_ET (1 << 4)
#define CR0_NE (1 << 5)
#define CR0_WP (1 << 16)
#define CR0_PG (1 << 31)
#define CR4_PAE (1 << 5)
#define CR4_MCE (1 << 6)        /* or else a machine check is a shutdown */
#define MSR_EFER 0xc0000080
#define EFER_LME (1 << 8)
#define CPUID_EXT_FEATURES 0x80000001
#define CPUID_EDX_1G_PAGES (1 << 26)
#define CPUID_MAX_EXT 0x80000000
#define CPUID_SEV 0x8000001f
#define CPUID_EAX_SEV (1 << 1)
#define CPUID_EBX_C_BIT 0x3f
#define MSR_SEV_STATUS 0xc0010131
#define SEV_STATUS_SEV 1

/*
 * The accessed bit is set in all descriptors: the CPU would set it by itself,
 * and the first table is in ROM, where KVM cannot let it.
 */
.macro gdt_entries
    .quad 0
    .quad 0x00cf9b000000ffff    /* SEL_CODE32 */
    .quad 0x00cf93000000ffff    /* SEL_DATA */
    .quad 0x00af9b000000ffff    /* SEL_CODE64 */
.endm

/* Real mode to flat 32 bit. @gdtr is relative to %cs, @target is linear. */
.macro protected_mode gdtr, target
    lgdtl %cs:\gdtr
    movl %cr0, %eax
    orl $CR0_PE, %eax
    movl %eax, %cr0
    ljmpl $SEL_CODE32, $\target
.endm

.macro load_data_segments
    movw $SEL_DATA, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
.endm

/* Write @count entries, with the C-bit if any: @first, @first + @step, ... */
.macro fill_table table, first, step, count
    movl $\table, %edi
    movl $\first, %eax
    movl c_bit_high, %edx
    movl $\count, %ecx
1:  movl %eax, (%edi)
    movl %edx, 4(%edi)
    addl $\step, %eax
    adcl $0, %edx
    addl $8, %edi
    decl %ecx
    jnz 1b
.endm

/*
 * The last 4 KiB of the image, run in place. Addresses are computed here, as
 * this is linked elsewhere. The copy below 1 MiB is not used: machines whose
 * memory starts private do not have it.
 */
#define BOOT_OFFSET(symbol) (0xf000 + (symbol - boot_start))
#define BOOT_SIZE 0x1000
#define BOOT_LINEAR(symbol) (0xfffff000 + (symbol - boot_start))

    .section .boot, "ax", @progbits
boot_start:
    .code16
    .globl boot16
boot16:
    protected_mode BOOT_OFFSET(boot_gdtr), BOOT_LINEAR(boot32)

    .code32
boot32:
    load_data_segments
    xorl %ebp, %ebp             /* becomes tdx_gpaw */
copy_image:
    movl $image_rom, %esi
    movl $image_start, %edi
    movl $image_size, %ecx
    shrl $2, %ecx
    cld
    rep movsl
    movl $ram32, %eax
    jmp *%eax

    /* All CPUs of a TD start here, in flat segments: ESI is the number of one */
boot_td:
    movl %ebx, %ebp
    testl %esi, %esi
    jz copy_image
wait_for_start:
    pause
    movl AP_TRAMPOLINE, %eax
    testl %eax, %eax
    jz wait_for_start
    jmp *%eax

    .balign 8
boot_gdt:
    gdt_entries
boot_gdtr:
    .word . - boot_gdt - 1
    .long BOOT_LINEAR(boot_gdt)

    .balign 4
    TDX_METADATA
    SNP_METADATA BOOT_SIZE

    /* The reset vector, 0xfffffff0; these are the same in 16 and 32 bits */
    .org BOOT_SIZE - 0x10
    .code32
    movl %cr0, %eax
    testb $CR0_PE, %al
    jz 1f
    jmp boot_td
1:
    .code16
    jmp boot16
    .org BOOT_SIZE

    .text
    .code32
ram32:
    lgdtl gdtr
    load_data_segments
    movl $bss_start, %edi
    movl $bss_size, %ecx
    shrl $2, %ecx
    xorl %eax, %eax
    rep stosl
    movl %ebp, tdx_gpaw

    /* The test kernel's SEV-SNP is without #VC; its C-bit may be too */
    movl $CPUID_MAX_EXT, %eax
    cpuid
    cmpl $CPUID_SEV, %eax
    jb tables
    movl $CPUID_SEV, %eax
    cpuid
    testl $CPUID_EAX_SEV, %eax
    jz tables
    movl $MSR_SEV_STATUS, %ecx
    rdmsr
    testl $SEV_STATUS_SEV, %eax
    jz tables
    andl $CPUID_EBX_C_BIT, %ebx
    cmpl $32, %ebx
    jb tables
    movl %ebx, %ecx             /* CL counts modulo 32, the bit is above it */
    movl $1, %eax
    shll %cl, %eax
    movl %eax, c_bit_high

tables:
    movl $pml4, %edi
    movl $(pdpt + PTE_TABLE), (%edi)
    movl $CPUID_EXT_FEATURES, %eax
    cpuid
    testl $CPUID_EDX_1G_PAGES, %edx
    jz small_pages
    fill_table pdpt, PTE_LARGE, 0x40000000, MAPPED_GIB
    jmp long_mode
small_pages:
    fill_table pdpt, (pd + PTE_TABLE), 0x1000, MAPPED_GIB
    fill_table pd, PTE_LARGE, 0x200000, (MAPPED_GIB * 512)

long_mode:
    movl $(CR4_PAE | CR4_MCE), %eax
    movl %eax, %cr4
    movl $pml4, %eax
    movl %eax, %cr3
    movl $MSR_EFER, %ecx
    rdmsr
    testl $EFER_LME, %eax
    jnz 1f                      /* a TD may not write it */
    orl $EFER_LME, %eax
    wrmsr
1:  movl $(CR0_PG | CR0_WP | CR0_NE | CR0_ET | CR0_PE), %eax
    movl %eax, %cr0
    ljmpl $SEL_CODE64, $start64

    .code64
start64:
    /* CPUs are numbered in the order in which they come by; the first is 0 */
    movl $1, %edi
    lock xaddl %edi, cpu_tickets(%rip)
    leal 1(%rdi), %eax
    imull $STACK_SIZE, %eax
    leaq stacks(%rax), %rsp
    xorl %ebp, %ebp
    call cpu_main
    ud2

    .code32
    .globl ap_td
ap_td:
    lgdtl gdtr
ap32:
    load_data_segments
    jmp long_mode

    .section .rodata
    .balign 8
gdt:
    gdt_entries
gdtr:
    .word . - gdt - 1
    .long gdt

    /* Copied to AP_TRAMPOLINE, which is at offset 0 of %cs */
    .code16
    .globl ap_trampoline, ap_trampoline_end
ap_trampoline:
    protected_mode (ap_gdtr - ap_trampoline), ap32
ap_gdtr:
    .word gdtr - gdt - 1
    .long gdt
ap_trampoline_end:

    .data
    .balign 4
cpu_tickets:
    .long 0

    .bss
    .balign 0x1000
pml4:
    .skip 0x1000
    .globl pdpt
pdpt:
    .skip 0x1000
    .globl c_bit_high
c_bit_high:
    .long 0                     /* the upper half of a page table entry */

    .globl tdx_gpaw
tdx_gpaw:
    .long 0                     /* bits of an address of a TD; or 0 */

    .section .noinit, "aw", @nobits
    .balign 0x1000
pd:
    .skip 0x1000 * MAPPED_GIB
stacks:
    .skip STACK_SIZE * MAX_CPUS

    .section .note.GNU-stack, "", @progbits
