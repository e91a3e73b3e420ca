/*
 * Guest payload: the library tests itself, under any accelerator
 *
 * Optional parameters, to test parameters: number=0x10K, text=hello
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define ROUNDS 1000
#define UNMAPPED ((uint8_t *)(MAPPED_GIB * GIB))
#define NON_CANONICAL ((uint8_t *)0x8000000000000000ULL)

static void test_format(void)
{
    static const struct {
        const char *expected;
        const char *format;
        long value;
    } numbers[] = {
        { "0", "%ld", 0 },
        { "-1", "%ld", -1 },
        { "-9223372036854775808", "%ld", INT64_MIN },
        { "18446744073709551615", "%lu", -1 },
        { "ffffffffffffffff", "%llx", -1 },
        { "   2a|", "%5lx|", 42 },
        { "2a   |", "%-5lx|", 42 },
        { "00000042", "%08lu", 42 },
        { "-0000042", "%08ld", -42 },
        { "0x100000", "%p", 0x100000 },
    };
    char buf[64];
    unsigned i;
    int length;

    for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        /* The format is not a literal so that a table can hold it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(buf, sizeof(buf), numbers[i].format, numbers[i].value);
#pragma GCC diagnostic pop
        if (!tap_ok(!strcmp(buf, numbers[i].expected), "printf %s",
                    numbers[i].expected)) {
            tap_comment("got '%s'", buf);
        }
    }
    snprintf(buf, sizeof(buf), "%d %u %x %c %s%5s|%-5s|%%",
             -1, ~0u, ~0u, 'c', "s", "r", "l");
    tap_ok(!strcmp(buf, "-1 4294967295 ffffffff c s    r|l    |%"),
           "printf without l, characters and strings: %s", buf);
    length = snprintf(buf, 4, "123456");
    tap_ok(length == 6 && !strcmp(buf, "123"), "snprintf cuts off");
}

static void test_string(void)
{
    char a[] = "0123456789";

    memmove(a + 2, a, 5);
    tap_ok(!strcmp(a, "0101234789"), "memmove upwards");
    memmove(a, a + 2, 5);
    tap_ok(!strcmp(a, "0123434789"), "memmove downwards");
    memset(a, 'x', 3);
    memcpy(a + 3, "yz", 2);
    tap_ok(!memcmp(a, "xxxyz", 5) && memcmp(a, "xxxyy", 5) > 0,
           "memset, memcpy, memcmp");
}

static void test_cpu(void)
{
    uint64_t start = rdtsc();
    uint16_t cs;

    asm("movw %%cs, %0" : "=r"(cs));
    tap_ok(cs == SEL_CODE64 && sizeof(void *) == 8, "64-bit mode");
    tap_ok(rdtsc() > start, "the time stamp counter runs");
    tap_comment("1 GiB pages: %s, KVM: %s",
                cpuid(0x80000001, 0).edx & (1 << 26) ? "yes" : "no",
                kvm_present() ? "yes" : "no");
}

static void test_memory(void)
{
    unsigned count;
    const MemoryRange *ranges = memory_ranges(&count);
    uint64_t total = 0;
    bool in_order = true;
    unsigned i;

    for (i = 0; i < count; i++) {
        tap_comment("RAM at 0x%lx size 0x%lx", ranges[i].base, ranges[i].size);
        total += ranges[i].size;
        in_order = in_order && (!i || ranges[i].base >=
                                ranges[i - 1].base + ranges[i - 1].size);
    }
    tap_is(total, fwcfg_ram_size(), "e820 and RAM size agree");
    tap_ok(in_order, "ranges are in order");

    for (i = 0; i < count; i++) {
        uint64_t last = ranges[i].base + ranges[i].size - sizeof(uint64_t);

        if (memory_is_usable(last, sizeof(uint64_t))) {
            gpa_write64(last, last ^ ROUNDS);
            tap_is(gpa_read64(last), last ^ ROUNDS,
                   "last word of range %u is RAM", i);
        }
    }
    tap_ok(memory_is_usable(PAYLOAD_LIMIT, MIB), "memory of tests is usable");
    tap_ok(!memory_is_usable(PAYLOAD_LIMIT - 1, 1), "payload is not");
    tap_ok(!memory_is_usable(0xfee00000, PAGE_SIZE), "APIC is not");
    tap_ok(!memory_is_usable(PAYLOAD_LIMIT, fwcfg_ram_size() + GIB) &&
           !memory_is_usable(PAYLOAD_LIMIT, -1) &&
           !memory_is_usable(-1, 2), "more than there is, is not");
}

static void divide(void *arg)
{
    asm volatile("divl %0" : : "r"(0), "a"(1), "d"(0) : "cc");
}

static void undefined(void *arg)
{
    asm volatile("ud2");
}

static void nothing(void *arg)
{
}

static void nest(void *arg)
{
    int *inner = arg;

    *inner = fault_catch(undefined, NULL, NULL);
    divide(NULL);
}

static unsigned breakpoints;

static bool count_breakpoint(ExceptionFrame *frame)
{
    breakpoints++;
    return true;
}

static bool decline(ExceptionFrame *frame)
{
    breakpoints++;
    return false;
}

static bool skip_ud2(ExceptionFrame *frame)
{
    frame->rip += 2;
    frame->rax = 42;
    return true;
}

static void test_exceptions(void)
{
    uint8_t byte = 0;
    int inner = 0;
    uint64_t rax = 0;
    Fault fault;

    tap_is(fault_catch(nothing, NULL, NULL), VECTOR_NONE, "no exception");
    tap_is(fault_catch(undefined, NULL, &fault), VECTOR_UD, "#UD is caught");
    tap_is(fault.rip, (uintptr_t)undefined, "at the right address");
    tap_is(fault_catch(divide, NULL, NULL), VECTOR_DE, "#DE is caught");
    tap_is(probe_read8(UNMAPPED, &byte), VECTOR_PF, "#PF of a read is caught");
    tap_is(probe_write8(UNMAPPED + 5, 0), VECTOR_PF, "#PF of a write too");
    tap_is(this_cpu()->fault.address, (uintptr_t)UNMAPPED + 5, "its address");
    tap_is(this_cpu()->fault.error_code, 2, "its error code");
    tap_is(probe_read8(NON_CANONICAL, &byte), VECTOR_GP, "#GP is caught");
    tap_is(fault_catch(nest, &inner, NULL), VECTOR_DE, "nested: outer one");
    tap_is(inner, VECTOR_UD, "nested: inner one");
    tap_is(probe_write8(&byte, 42), VECTOR_NONE, "probe writes");
    tap_is(byte, 42, "what it should");

    exception_set_handler(VECTOR_BP, count_breakpoint);
    asm volatile("int3; int3");
    tap_is(breakpoints, 2, "a handler may return");
    exception_set_handler(VECTOR_UD, skip_ud2);
    asm volatile("ud2" : "+a"(rax));
    tap_is(rax, 42, "a handler may change registers");
    exception_set_handler(VECTOR_UD, decline);
    tap_is(fault_catch(undefined, NULL, NULL), VECTOR_UD,
           "a handler may decline");
    tap_is(breakpoints, 3, "after it was called");
    exception_set_handler(VECTOR_UD, NULL);
    exception_set_handler(VECTOR_BP, NULL);
}

static void test_params(void)
{
    tap_is(param_u64("absent", 7), 7, "default of a number");
    tap_ok(!strcmp(param_str("absent", "none"), "none"), "default of a text");
    if (param_str("number", NULL)) {
        tap_is(param_u64("number", 0), 16 * KIB, "number");
    } else {
        tap_skip("number: not given");
    }
    if (param_str("text", NULL)) {
        tap_ok(!strcmp(param_str("text", ""), "hello"), "text");
    } else {
        tap_skip("text: not given");
    }
}

static void test_prng(void)
{
    Prng a, b, c;
    bool same = true;
    bool differs = true;
    unsigned i;

    prng_init(&a, 1);
    prng_init(&b, 1);
    prng_init(&c, 2);
    for (i = 0; i < ROUNDS; i++) {
        uint64_t x = prng_next(&a);

        same = same && x == prng_next(&b);
        differs = differs && x != prng_next(&c);
    }
    tap_ok(same, "one seed, one sequence");
    tap_ok(differs, "another seed, another sequence");
}

static void test_intent(void)
{
    uint8_t *p = gpa_to_ptr(PAYLOAD_LIMIT);
    uint64_t before, after;

    asm volatile("pushfq; popq %0" : "=r"(before));
    intent_write8(p, 1, INTENT_PRIVATE);
    intent_write8(p + 1, 2, INTENT_SHARED);
    tap_ok(intent_read8(p, INTENT_SHARED) == 1 &&
           intent_read8(p + 1, INTENT_PRIVATE) == 2,
           "accesses with an intent work where nothing checks it");
    asm volatile("pushfq; popq %0" : "=r"(after));
    tap_is((before ^ after) & (EFLAGS_AC | EFLAGS_ID), 0, "flags are restored");
}

static Spinlock lock;
static Barrier barrier;
static unsigned atomic_count;
static unsigned locked_count;
static unsigned early;
static unsigned faults;
static uint64_t indexes;

static void count_everything(void *arg)
{
    unsigned cpus = *(unsigned *)arg;
    unsigned i;

    __atomic_or_fetch(&indexes, 1ULL << cpu_index(), __ATOMIC_RELAXED);
    for (i = 1; i <= ROUNDS; i++) {
        __atomic_add_fetch(&atomic_count, 1, __ATOMIC_RELAXED);
        spin_lock(&lock);
        locked_count++;
        spin_unlock(&lock);
        if (i % 100 == 0) {
            barrier_wait(&barrier, cpus);
            if (__atomic_load_n(&atomic_count, __ATOMIC_RELAXED) < i * cpus) {
                __atomic_add_fetch(&early, 1, __ATOMIC_RELAXED);
            }
            /* Nobody counts on before all have looked */
            barrier_wait(&barrier, cpus);
        }
        if (fault_catch(undefined, NULL, NULL) == VECTOR_UD) {
            __atomic_add_fetch(&faults, 1, __ATOMIC_RELAXED);
        }
    }
    tap_ok(true, "CPU %u can print", cpu_index());
}

static void add_one(void *arg)
{
    __atomic_add_fetch((unsigned *)arg, 1, __ATOMIC_RELAXED);
}

static void test_smp(void)
{
    unsigned cpus = smp_start();
    unsigned count = 0;
    unsigned i, cpu;

    tap_is(cpus, fwcfg_cpu_count(), "all CPUs are up");
    tap_is(smp_start(), cpus, "to start them again does nothing");
    on_all_cpus(count_everything, &cpus);
    tap_is(indexes, cpus < 64 ? (1ULL << cpus) - 1 : ~0ULL,
           "CPUs have numbers of their own");
    tap_is(atomic_count, cpus * ROUNDS, "atomic counter");
    tap_is(locked_count, cpus * ROUNDS, "counter with a spinlock");
    tap_is(early, 0, "nobody passes a barrier early");
    tap_is(faults, cpus * ROUNDS, "each CPU catches its own exceptions");

    for (i = 0; i < ROUNDS; i++) {
        on_all_cpus(add_one, &count);
    }
    tap_is(count, cpus * ROUNDS, "CPUs wake up again and again");
    count = 0;
    for (i = 0; i < ROUNDS; i++) {
        for (cpu = 1; cpu < cpus; cpu++) {
            smp_run(cpu, add_one, &count);
            smp_wait(cpu);
        }
    }
    tap_is(count, (cpus - 1) * ROUNDS, "one at a time");
}

int main(void)
{
    test_format();
    test_string();
    test_cpu();
    test_memory();
    test_exceptions();
    test_params();
    test_prng();
    test_intent();
    test_smp();
    return tap_done();
}
