/*
 * Payload for the emulated machine's CPU itself: what AMD's manual says of SVM
 * and KVM relies on
 *
 * Runs on a bare CPU with SVM, not on KVM. Its guests are single instructions
 * below, in the payload's own address space; nested paging maps all of it one to
 * one, but for two holes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define MSR_EFER 0xc0000080
#define MSR_VM_HSAVE_PA 0xc0010117
#define EFER_SVME (1 << 12)

#define HOLE (32 * MIB)         /* 2 MiB that are not mapped; RAM before it */
#define NO_MEMORY (8 * GIB)     /* nothing from here on is mapped */
#define MOVED (8 * MIB)         /* these 2 MiB are mapped to MOVED_TO */
#define MOVED_TO (10 * MIB)

/* A guest with SEV has memory twice: without the C-bit from WINDOW on */
#define WINDOW GIB
#define SHARED (16 * MIB)       /* 2 MiB that are not private */
#define C_BIT (1ULL << 51)
#define NESTED_PRIVATE (1ULL << 58)     /* not what a CPU has, see the patch */

#define PTE_NESTED 0x07         /* present, writable, user */
#define PTE_NESTED_LARGE 0x87

#define EXIT_READ_CR(n) (0x00 + (n))
#define EXIT_WRITE_CR(n) (0x10 + (n))
#define EXIT_READ_DR(n) (0x20 + (n))
#define EXIT_WRITE_DR(n) (0x30 + (n))
#define EXIT_INTR 0x60
#define EXIT_RDTSC 0x6e
#define EXIT_CPUID 0x72
#define EXIT_SWINT 0x75
#define EXIT_HLT 0x78
#define EXIT_INVLPG 0x79
#define EXIT_IOIO 0x7b
#define EXIT_MSR 0x7c
#define EXIT_VMRUN 0x80
#define EXIT_VMMCALL 0x81
#define EXIT_NPF 0x400

#define NPF_PRESENT (1ULL << 0)
#define NPF_WRITE (1ULL << 1)
#define NPF_USER (1ULL << 2)
#define NPF_FETCH (1ULL << 4)
#define NPF_FINAL (1ULL << 32)  /* not while tables of the guest were read */
#define NPF_TABLES (1ULL << 33)
#define NPF_PRIVATE (1ULL << 34)

#define INFO1_ANY UINT64_MAX
#define INFO1_MOV_CR (1ULL << 63)

#define INJECT_EXCEPTION (3u << 8)
#define INJECT_SOFTWARE (4u << 8)
#define INJECT_ERROR_CODE (1u << 11)
#define INJECT_VALID (1u << 31)

#define INT_CTL_PENDING (1u << 8)
#define INT_CTL_PRIORITY(n) ((n) << 16)
#define INT_CTL_MASKING (1u << 24)

#define VMRUNS 100000

typedef struct Segment {
    uint16_t selector;
    uint16_t attributes;
    uint32_t limit;
    uint64_t base;
} Segment;

typedef struct Vmcb {
    uint16_t cr_read, cr_write, dr_read, dr_write;
    uint32_t exceptions;
    uint32_t intercepts[2];     /* from EXIT_INTR and EXIT_VMRUN on */
    uint8_t reserved_1[0x40 - 0x14];
    uint64_t io_map, msr_map, tsc_offset;
    uint32_t asid, tlb_control;
    uint32_t int_ctl, int_vector;
    uint64_t int_state;
    uint64_t exit_code, exit_info_1, exit_info_2, exit_int_info;
    uint64_t nested_ctl;
    uint8_t reserved_2[0xa8 - 0x98];
    uint32_t event, event_error;
    uint64_t nested_cr3;
    uint8_t reserved_3[0xc8 - 0xb8];
    uint64_t next_rip;
    uint8_t insn_length, insn[15];
    uint8_t reserved_4[0x400 - 0xe0];
    Segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    uint8_t reserved_5[0x4d0 - 0x4a0];
    uint64_t efer;
    uint8_t reserved_6[0x548 - 0x4d8];
    uint64_t cr4, cr3, cr0, dr7, dr6, rflags, rip;
    uint8_t reserved_7[0x5d8 - 0x580];
    uint64_t rsp;
    uint8_t reserved_8[0x5f8 - 0x5e0];
    uint64_t rax;
    uint8_t reserved_9[0x1000 - 0x600];
} Vmcb;

_Static_assert(__builtin_offsetof(Vmcb, nested_ctl) == 0x90, "nested_ctl");
_Static_assert(__builtin_offsetof(Vmcb, es) == 0x400, "es");
_Static_assert(__builtin_offsetof(Vmcb, rip) == 0x578, "rip");
_Static_assert(sizeof(Vmcb) == 0x1000, "size");

static Vmcb vmcb __attribute__((aligned(0x1000)));
static uint8_t host_save[0x1000] __attribute__((aligned(0x1000)));
static uint8_t io_map[0x3000] __attribute__((aligned(0x1000)));
static uint8_t msr_map[0x2000] __attribute__((aligned(0x1000)));
static uint64_t nested_pml4[512] __attribute__((aligned(0x1000)));
static uint64_t nested_pdpt[512] __attribute__((aligned(0x1000)));
static uint64_t nested_pd[512] __attribute__((aligned(0x1000)));
static uint64_t sev_pml4[512] __attribute__((aligned(0x1000)));
static uint64_t sev_pdpt[512] __attribute__((aligned(0x1000)));
static uint64_t sev_pd[2][512] __attribute__((aligned(0x1000)));
static uint8_t guest_stack[0x4000] __attribute__((aligned(0x1000)));

/* The guests: an instruction each, from insn_NAME to after_NAME, and a HLT */
#define INSN(name, text) \
    asm(".text\n" \
        "insn_" #name ": " text "\n" \
        "after_" #name ": hlt\n"); \
    extern char insn_##name[], after_##name[]

INSN(cpuid, "cpuid");
INSN(rdtsc, "rdtsc");
INSN(rdmsr, "rdmsr");
INSN(vmmcall, "vmmcall");
INSN(hlt, "hlt");
INSN(out, "outb %al, $0x80");
INSN(int, "int $0x40");
INSN(invlpg, "invlpg 0x12345000");
INSN(read_cr0, "movq %cr0, %rdx");
INSN(read_cr3, "movq %cr3, %r9");
INSN(write_cr3, "movq %r9, %cr3");
INSN(reload_cr3, "movq %cr3, %rax\n movq %rax, %cr3\n movq (16 << 20), %rax");
INSN(smsw, "smsw %edx");
INSN(read_dr7, "movq %dr7, %rbx");
INSN(write_dr7, "movq %r11, %dr7");
INSN(write_cr8, "movq %rax, %cr8");
INSN(pvalidate, "stc\n .byte 0xf2, 0x0f, 0x01, 0xff");
INSN(rmpadjust, "stc\n .byte 0xf3, 0x0f, 0x01, 0xfe");
INSN(load, "movq (%rax), %rax");
INSN(store, "movl $0x12345678, (%rax)");

static void vmcb_init(const char *rip)
{
    struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) table;

    memset(&vmcb, 0, sizeof(vmcb));
    vmcb.intercepts[0] = 1 << (EXIT_HLT - EXIT_INTR);
    vmcb.intercepts[1] = 1 | 1 << (EXIT_VMMCALL - EXIT_VMRUN);
    vmcb.io_map = (uintptr_t)io_map;
    vmcb.msr_map = (uintptr_t)msr_map;
    vmcb.asid = 1;
    vmcb.nested_ctl = 1;
    vmcb.nested_cr3 = (uintptr_t)nested_pml4;
    vmcb.cs = (Segment){ SEL_CODE64, 0xa9b, 0xffffffff, 0 };
    vmcb.ds = (Segment){ SEL_DATA, 0xc93, 0xffffffff, 0 };
    vmcb.es = vmcb.ds;
    vmcb.ss = vmcb.ds;
    asm volatile("sgdt %0" : "=m"(table));
    vmcb.gdtr = (Segment){ 0, 0, table.limit, table.base };
    asm volatile("sidt %0" : "=m"(table));
    vmcb.idtr = (Segment){ 0, 0, table.limit, table.base };
    vmcb.efer = rdmsr(MSR_EFER);
    asm volatile("movq %%cr0, %0" : "=r"(vmcb.cr0));
    asm volatile("movq %%cr3, %0" : "=r"(vmcb.cr3));
    asm volatile("movq %%cr4, %0" : "=r"(vmcb.cr4));
    vmcb.dr6 = 0xffff0ff0;
    vmcb.dr7 = 0x400;
    vmcb.rflags = 2;
    vmcb.rip = (uintptr_t)rip;
    vmcb.rsp = (uintptr_t)(guest_stack + sizeof(guest_stack));
    /* What an exit without them would leave */
    vmcb.insn_length = 0xff;
}

static void vmrun(void)
{
    asm volatile("pushq %%rbp\n"
                 "vmrun\n"
                 "stgi\n"
                 "popq %%rbp"
                 : : "a"(&vmcb)
                 : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11",
                   "r12", "r13", "r14", "r15", "memory", "cc");
}

static void intercept(unsigned exit_code)
{
    if (exit_code < EXIT_READ_DR(0)) {
        *(exit_code < EXIT_WRITE_CR(0) ? &vmcb.cr_read : &vmcb.cr_write) =
            1 << (exit_code & 15);
    } else if (exit_code < EXIT_INTR) {
        *(exit_code < EXIT_WRITE_DR(0) ? &vmcb.dr_read : &vmcb.dr_write) =
            1 << (exit_code & 15);
    } else if (exit_code < EXIT_VMRUN) {
        vmcb.intercepts[0] |= 1 << (exit_code - EXIT_INTR);
    }
}

static const struct {
    const char *name;
    const char *insn;
    const char *after;
    unsigned exit_code;
    uint64_t info_1;
} insns[] = {
#define CASE(name, ...) { #name, insn_##name, after_##name, __VA_ARGS__ }
    CASE(cpuid, EXIT_CPUID, INFO1_ANY),
    CASE(rdtsc, EXIT_RDTSC, INFO1_ANY),
    CASE(rdmsr, EXIT_MSR, 0),
    CASE(vmmcall, EXIT_VMMCALL, INFO1_ANY),
    CASE(hlt, EXIT_HLT, INFO1_ANY),
    CASE(out, EXIT_IOIO, INFO1_ANY),
    CASE(int, EXIT_SWINT, 0x40),
    CASE(invlpg, EXIT_INVLPG, 0x12345000),
    CASE(read_cr0, EXIT_READ_CR(0), INFO1_MOV_CR | 2),
    CASE(read_cr3, EXIT_READ_CR(3), INFO1_MOV_CR | 9),
    CASE(write_cr3, EXIT_WRITE_CR(3), INFO1_MOV_CR | 9),
    CASE(smsw, EXIT_READ_CR(0), 0),
    CASE(read_dr7, EXIT_READ_DR(7), 3),
    CASE(write_dr7, EXIT_WRITE_DR(7), 11),
};

static void test_instructions(void)
{
    for (unsigned i = 0; i < sizeof(insns) / sizeof(insns[0]); i++) {
        vmcb_init(insns[i].insn);
        intercept(insns[i].exit_code);
        vmrun();
        tap_is(vmcb.exit_code, insns[i].exit_code, "%s: exit code",
               insns[i].name);
        tap_is(vmcb.rip, (uintptr_t)insns[i].insn, "%s: RIP", insns[i].name);
        tap_is(vmcb.next_rip, (uintptr_t)insns[i].after, "%s: next RIP",
               insns[i].name);
        if (insns[i].info_1 != INFO1_ANY) {
            tap_is(vmcb.exit_info_1, insns[i].info_1, "%s: EXITINFO1",
                   insns[i].name);
        }
    }
}

static void nested_fault(const char *rip, uint64_t address, uint64_t info_1,
                         unsigned length, const char *name)
{
    vmcb_init(rip);
    vmcb.rax = address;
    vmrun();
    tap_is(vmcb.exit_code, EXIT_NPF, "%s: exit code", name);
    tap_is(vmcb.exit_info_1, info_1, "%s: EXITINFO1", name);
    tap_is(vmcb.exit_info_2, address, "%s: EXITINFO2", name);
    tap_is(vmcb.next_rip, 0, "%s: no next RIP", name);
    tap_is(vmcb.insn_length, length, "%s: bytes of the instruction", name);
    tap_ok(length == 0 || !memcmp(vmcb.insn, rip, length), "%s: which", name);
}

static void test_nested_faults(void)
{
    char *last = (char *)gpa_to_ptr(HOLE) - 7;

    nested_fault(insn_load, NO_MEMORY, NPF_FINAL | NPF_USER, 15, "load");
    nested_fault(insn_store, NO_MEMORY + 0x123,
                 NPF_FINAL | NPF_USER | NPF_WRITE, 15, "store");
    memcpy(last, insn_store, 7);
    nested_fault(last, NO_MEMORY, NPF_FINAL | NPF_USER | NPF_WRITE, 7,
                 "before a hole");
    nested_fault(gpa_to_ptr(HOLE), HOLE, NPF_FINAL | NPF_USER | NPF_FETCH, 0,
                 "fetch");
}

/* With the nested tables for the others, but that all is private but SHARED */
static void run_sev(const char *rip, uint64_t rax, uint64_t cr3)
{
    vmcb_init(rip);
    vmcb.nested_ctl = 3;
    vmcb.cr3 = cr3;
    vmcb.rax = rax;
    for (unsigned i = 0; i < 512; i++) {
        nested_pd[i] |= nested_pd[i] ? NESTED_PRIVATE : 0;
    }
    nested_pd[SHARED / (2 * MIB)] &= ~NESTED_PRIVATE;
    vmrun();
    for (unsigned i = 0; i < 512; i++) {
        nested_pd[i] &= ~NESTED_PRIVATE;
    }
}

static void c_bit_works(const char *rip, uint64_t address, const char *name)
{
    run_sev(rip, address, (uintptr_t)sev_pml4 | C_BIT);
    tap_is(vmcb.exit_code, EXIT_HLT, "%s: exit code", name);
}

static void c_bit_faults(const char *rip, uint64_t address, uint64_t cr3,
                         uint64_t info_1, uint64_t info_2, const char *name)
{
    run_sev(rip, address, cr3);
    tap_is(vmcb.exit_code, EXIT_NPF, "%s: exit code", name);
    tap_is(vmcb.exit_info_1, info_1, "%s: EXITINFO1", name);
    tap_is(vmcb.exit_info_2, info_2, "%s: EXITINFO2", name);
}

/* What the C-bit of a guest's page tables says, and where it does not matter */
static void test_c_bit(void)
{
    const uint64_t cr3 = (uintptr_t)sev_pml4 | C_BIT, other = SHARED + 4 * MIB;
    const uint64_t fault = NPF_FINAL | NPF_USER;
    char *code = (char *)gpa_to_ptr(SHARED) + 0x1000;

    sev_pml4[0] = (uintptr_t)sev_pdpt | PTE_NESTED | C_BIT;
    for (unsigned i = 0; i < 2; i++) {
        sev_pdpt[i] = (uintptr_t)sev_pd[i] | PTE_NESTED;
        for (unsigned j = 0; j < 512; j++) {
            sev_pd[i][j] = (j * 2 * MIB) | PTE_NESTED_LARGE | (i ? 0 : C_BIT);
        }
    }
    gpa_write64(other, 1);
    gpa_write64(SHARED, 2);

    c_bit_works(insn_load, other, "private load");
    tap_is(vmcb.rax, 1, "private load: value");
    c_bit_works(insn_load, SHARED + WINDOW, "shared load");
    tap_is(vmcb.rax, 2, "shared load: value");
    c_bit_faults(insn_load, HOLE, cr3, fault | NPF_PRIVATE, HOLE,
                 "private load from a hole");
    c_bit_faults(insn_load, HOLE + WINDOW, cr3, fault, HOLE,
                 "shared load from a hole");
    c_bit_faults(insn_load, SHARED + 8, cr3,
                 fault | NPF_PRIVATE | NPF_PRESENT, SHARED + 8,
                 "private load from shared memory");
    c_bit_faults(insn_load, other + WINDOW, cr3, fault | NPF_PRESENT, other,
                 "shared load from private memory");
    c_bit_faults(insn_store, other + WINDOW, cr3,
                 fault | NPF_PRESENT | NPF_WRITE, other,
                 "shared store to private memory");

    /* Without the C-bit in its entry, too, code is private */
    c_bit_works(insn_load + WINDOW, other, "fetch");
    c_bit_faults(insn_load + WINDOW, (uintptr_t)insn_load + WINDOW, cr3,
                 fault | NPF_PRESENT, (uintptr_t)insn_load,
                 "shared load from a page of code");
    memcpy(code, insn_load, after_load + 1 - insn_load);
    c_bit_faults(code + WINDOW, other, cr3,
                 fault | NPF_PRIVATE | NPF_PRESENT | NPF_FETCH,
                 (uintptr_t)code, "fetch from shared memory");

    /* So are page tables, without it in CR3 */
    memcpy(gpa_to_ptr(SHARED), sev_pml4, sizeof(sev_pml4));
    c_bit_faults(insn_load, other, SHARED, NPF_TABLES | NPF_USER | NPF_PRIVATE |
                 NPF_PRESENT | NPF_WRITE, SHARED, "shared page tables");
    c_bit_faults(insn_reload_cr3, 0, cr3,
                 fault | NPF_PRIVATE | NPF_PRESENT, SHARED,
                 "private load after a write to CR3");

    c_bit_works(insn_pvalidate, other, "PVALIDATE");
    tap_is((uint32_t)vmcb.rax | (vmcb.rflags & 1), 0, "PVALIDATE: result");
    c_bit_works(insn_rmpadjust, other, "RMPADJUST");
    tap_is((uint32_t)vmcb.rax | (vmcb.rflags & 1), 0, "RMPADJUST: result");
}

static ExceptionFrame frame;

static bool on_injected(ExceptionFrame *f)
{
    frame = *f;
    /* Leaves the guest for good */
    asm volatile("vmmcall");
    return true;
}

static void inject(unsigned type, unsigned vector, uint64_t error_code,
                   uint64_t rip, const char *name)
{
    exception_set_handler(vector, on_injected);
    vmcb_init(insn_hlt);
    vmcb.next_rip = (uintptr_t)insn_cpuid;
    vmcb.event = INJECT_VALID | type | vector;
    vmcb.event_error = error_code;
    memset(&frame, 0xff, sizeof(frame));
    vmrun();
    exception_set_handler(vector, NULL);
    tap_is(vmcb.exit_code, EXIT_VMMCALL, "%s: was handled", name);
    tap_is(frame.error_code, error_code, "%s: error code", name);
    tap_is(frame.rip, rip, "%s: saved RIP", name);
}

static void test_injection(void)
{
    const uint64_t here = (uintptr_t)insn_hlt, next = (uintptr_t)insn_cpuid;
    const unsigned with_error = INJECT_EXCEPTION | INJECT_ERROR_CODE;

    inject(INJECT_EXCEPTION, VECTOR_UD, 0, here, "#UD");
    inject(with_error, VECTOR_GP, 0x1234, here, "#GP");
    inject(with_error, 21, 3, here, "#CP");
    inject(with_error, 29, 0x72, here, "#VC");
    inject(with_error, 30, 1, here, "#SX");
    inject(INJECT_EXCEPTION, VECTOR_BP, 0, next, "INT3");
    inject(INJECT_SOFTWARE, 0x40, 0, next, "INT n");
}

/* A virtual interrupt that becomes deliverable by a write to CR8 */
static void test_task_priority(void)
{
    vmcb_init(insn_write_cr8);
    vmcb.int_ctl = INT_CTL_MASKING | INT_CTL_PENDING | INT_CTL_PRIORITY(5) | 15;
    vmcb.int_vector = 0x50;
    vmcb.rax = 0;
    vmrun();
    tap_is(vmcb.exit_code, EXIT_HLT, "a guest lowers CR8 with an interrupt "
           "pending");
    tap_is(vmcb.int_ctl & 15, 0, "the virtual task priority");
}

static void load_x87_environment(void *stop)
{
    uint8_t environment[28];

    asm volatile("fninit; fnstenv %0" : "=m"(environment));
    while (!__atomic_load_n((bool *)stop, __ATOMIC_RELAXED)) {
        asm volatile("fldenv %0" : : "m"(environment));
    }
}

/* Other CPUs' x87 is no concern of the first one's nested paging */
static void test_other_cpus(void)
{
    unsigned wrong = 0;
    bool stop = false;

    gpa_write64(MOVED, 1);
    gpa_write64(MOVED_TO, 2);
    smp_run(1, load_x87_environment, &stop);
    for (unsigned i = 0; i < VMRUNS && !wrong; i++) {
        vmcb_init(insn_load);
        vmcb.rax = MOVED;
        vmrun();
        wrong += vmcb.exit_code != EXIT_HLT || vmcb.rax != 2 ||
            gpa_read64(MOVED) != 1;
    }
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    smp_wait(1);
    tap_is(wrong, 0, "nested paging is on in guests and off in the host");
}

int main(void)
{
    CpuidResult features = cpuid(0x8000000a, 0);

    assert(memory_is_usable(MOVED, HOLE + 2 * MIB - MOVED));
    tap_ok(features.edx & 1 << 3, "the CPU has NRIPS");
    tap_ok(features.edx & 1 << 7, "the CPU has decode assists");
    assert(cpuid(0x80000000, 0).eax >= 0x8000001f);
    features = cpuid(0x8000001f, 0);
    tap_ok(features.eax & 1 << 1, "the CPU has SEV");
    tap_is(features.ebx & 0x3f, 51, "the CPU's C-bit");
    memset(io_map, 0xff, sizeof(io_map));
    memset(msr_map, 0xff, sizeof(msr_map));
    nested_pml4[0] = (uintptr_t)nested_pdpt | PTE_NESTED;
    nested_pdpt[0] = (uintptr_t)nested_pd | PTE_NESTED;
    for (unsigned i = 1; i < NO_MEMORY / GIB; i++) {
        nested_pdpt[i] = i * GIB | PTE_NESTED_LARGE;
    }
    for (unsigned i = 0; i < 512; i++) {
        nested_pd[i] = i * 2 * MIB | PTE_NESTED_LARGE;
    }
    nested_pd[HOLE / (2 * MIB)] = 0;
    nested_pd[MOVED / (2 * MIB)] = MOVED_TO | PTE_NESTED_LARGE;
    /* A fetch is told from a load only with this */
    wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SVME | 1 << 11);
    wrmsr(MSR_VM_HSAVE_PA, (uintptr_t)host_save);

    test_instructions();
    test_nested_faults();
    test_c_bit();
    test_injection();
    if (smp_start() > 1) {
        test_other_cpus();
    }
    test_task_priority();
    return tap_done();
}
