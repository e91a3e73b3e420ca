/*
 * Guest payload library: exceptions and interrupts
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "entry.h"

#define VECTORS 256
#define STUB_SIZE 16
#define GATE_INTERRUPT 0x8e     /* present, privilege level 0 */
#define RFLAGS_DEFAULT 0x2      /* interrupts off, no access intent */

typedef struct IdtEntry {
    uint16_t offset_low;
    uint16_t selector;
    uint8_t ist;
    uint8_t type;
    uint16_t offset_middle;
    uint32_t offset_high;
    uint32_t reserved;
} IdtEntry;

static IdtEntry idt[VECTORS];
static ExceptionHandler *handlers[VECTORS];

void exception_init(void)
{
    unsigned i;

    for (i = 0; i < VECTORS; i++) {
        uint64_t stub = (uintptr_t)exception_stubs + i * STUB_SIZE;

        idt[i] = (IdtEntry) {
            .offset_low = stub,
            .selector = SEL_CODE64,
            .type = GATE_INTERRUPT,
            .offset_middle = stub >> 16,
            .offset_high = stub >> 32,
        };
    }
}

void exception_init_cpu(void)
{
    const struct {
        uint16_t limit;
        uint64_t base;
    } __attribute__((packed)) idtr = { sizeof(idt) - 1, (uintptr_t)idt };

    asm volatile("lidt %0" : : "m"(idtr));
}

void exception_set_handler(uint8_t vector, ExceptionHandler *handler)
{
    __atomic_store_n(&handlers[vector], handler, __ATOMIC_RELEASE);
}

static void __attribute__((noreturn)) dump(const ExceptionFrame *f)
{
    console_lock();
    printf("\nBail out! exception %lu on CPU %u\n", f->vector, cpu_index());
    printf("# error code %lx rip %lx rflags %lx cr2 %lx\n",
           f->error_code, f->rip, f->rflags, read_cr2());
    printf("# rax %016lx rbx %016lx rcx %016lx rdx %016lx\n",
           f->rax, f->rbx, f->rcx, f->rdx);
    printf("# rsi %016lx rdi %016lx rbp %016lx rsp %016lx\n",
           f->rsi, f->rdi, f->rbp, f->rsp);
    printf("# r8  %016lx r9  %016lx r10 %016lx r11 %016lx\n",
           f->r8, f->r9, f->r10, f->r11);
    printf("# r12 %016lx r13 %016lx r14 %016lx r15 %016lx\n",
           f->r12, f->r13, f->r14, f->r15);
    guest_exit(GUEST_EXCEPTION);
}

/* Make the return from this exception a return from fault_catch_call() */
static void unwind_to_catch(ExceptionFrame *frame)
{
    Cpu *cpu = this_cpu();

    cpu->fault = (Fault) {
        .vector = frame->vector,
        .error_code = frame->error_code,
        .rip = frame->rip,
        .address = read_cr2(),
    };
    frame->rip = (uintptr_t)fault_catch_landing;
    frame->rsp = cpu->catch_rsp;
    frame->rax = frame->vector;
    frame->rflags = RFLAGS_DEFAULT;
}

void exception_dispatch(ExceptionFrame *frame)
{
    ExceptionHandler *handler;

    handler = __atomic_load_n(&handlers[frame->vector], __ATOMIC_ACQUIRE);
    if (!handler || !handler(frame)) {
        if (!this_cpu()->catch_rsp) {
            dump(frame);
        }
        unwind_to_catch(frame);
    }
    if (frame->vector == VECTOR_MC) {
        wrmsr(MSR_MCG_STATUS, 0);
    }
}

int fault_catch(void (*fn)(void *), void *arg, Fault *fault)
{
    Cpu *cpu = this_cpu();
    int vector = fault_catch_call(fn, arg, &cpu->catch_rsp);

    if (vector != VECTOR_NONE && fault) {
        *fault = cpu->fault;
    }
    return vector;
}

typedef struct ProbeRead {
    const uint8_t *address;
    uint8_t *value;
} ProbeRead;

static void do_read8(void *opaque)
{
    ProbeRead *probe = opaque;

    *probe->value = gpa_read8((uintptr_t)probe->address);
}

int probe_read8(const void *address, uint8_t *value)
{
    ProbeRead probe = { .address = address, .value = value };

    return fault_catch(do_read8, &probe, NULL);
}

typedef struct ProbeWrite {
    uint8_t *address;
    uint8_t value;
} ProbeWrite;

static void do_write8(void *opaque)
{
    ProbeWrite *probe = opaque;

    gpa_write8((uintptr_t)probe->address, probe->value);
}

int probe_write8(void *address, uint8_t value)
{
    ProbeWrite probe = { .address = address, .value = value };

    return fault_catch(do_write8, &probe, NULL);
}
