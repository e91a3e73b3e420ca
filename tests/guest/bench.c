/*
 * Guest payload: how long conversions take
 *
 * Prints for each kind of conversion a line
 *
 *   # bench NAME ticks=TICKS count=COUNT
 *
 * which says that COUNT conversions took TICKS ticks of the time stamp counter:
 * the least of many short samples, as whatever else runs on the host only ever
 * adds to one. Memory is at the end of RAM, where a search from its start would
 * take longest.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define LARGE_SIZE (2 * MIB)
#define MIXED_SIZE (4 * MIB)

/* Conversions in a sample: more, if they are short; even, there and back */
#define SMALL_COUNT 10
#define LARGE_COUNT 2
#define PARALLEL_COUNT 80       /* of all CPUs together */
#define PARALLEL_SAMPLES 60

static uint64_t base;

/* Panics if it fails, as then there is nothing to measure */
static void must_convert(uint64_t gpa, uint64_t size, bool to_private)
{
    long ret = convert(gpa, size, to_private);

    if (ret) {
        panic("0x%lx + 0x%lx to %s: %ld", gpa, size,
              to_private ? "private" : "shared", ret);
    }
}

/* Without memory in the half that is left there would be nothing to free */
static void touch(uint64_t size)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        gpa_write64(gpa, gpa);
    }
}

static uint64_t timed_convert(uint64_t size, bool to_private)
{
    uint64_t start;

    touch(size);
    start = rdtsc();
    must_convert(base, size, to_private);
    return rdtsc() - start;
}

static uint64_t there_and_back(uint64_t size, unsigned count)
{
    uint64_t ticks = 0;
    unsigned i;

    for (i = 0; i < count; i++) {
        ticks += timed_convert(size, i % 2 == 0);
    }
    return ticks;
}

static uint64_t sample_small(void)
{
    return there_and_back(PAGE_SIZE, SMALL_COUNT);
}

static uint64_t sample_large(void)
{
    return there_and_back(LARGE_SIZE, LARGE_COUNT);
}

/* Every other page is private already */
static uint64_t sample_mixed(void)
{
    uint64_t gpa;

    must_convert(base, MIXED_SIZE, false);
    for (gpa = base; gpa < base + MIXED_SIZE; gpa += 2 * PAGE_SIZE) {
        must_convert(gpa, PAGE_SIZE, true);
    }
    return timed_convert(MIXED_SIZE, true);
}

static void report(const char *name, uint64_t ticks, unsigned count)
{
    tap_comment("bench %s ticks=%lu count=%u", name, ticks, count);
    tap_ok(true, "%s", name);
}

static void bench(const char *name, uint64_t (*sample)(void), unsigned samples,
                  unsigned count)
{
    uint64_t least = ~0ULL;
    unsigned i;

    must_convert(base, MIXED_SIZE, false);
    for (i = 0; i < samples; i++) {
        uint64_t ticks = sample();

        least = ticks < least ? ticks : least;
    }
    report(name, least, count);
}

/* When all CPUs together had done so many times PARALLEL_COUNT conversions */
static uint64_t reached[PARALLEL_SAMPLES + 1];

/*
 * CPUs do not wait for each other in between, and touch nothing, so that the
 * time that passes is that of conversions alone.
 */
static void convert_own_page(void *opaque)
{
    static Barrier begin;
    static unsigned all_done;
    uint64_t gpa = base + cpu_index() * PAGE_SIZE;
    bool to_private = true;
    unsigned done;

    barrier_wait(&begin, cpu_count());
    do {
        must_convert(gpa, PAGE_SIZE, to_private);
        to_private = !to_private;
        done = __atomic_add_fetch(&all_done, 1, __ATOMIC_RELAXED);
        if (done % PARALLEL_COUNT == 0 &&
            done / PARALLEL_COUNT <= PARALLEL_SAMPLES) {
            reached[done / PARALLEL_COUNT] = rdtsc();
        }
    } while (done < PARALLEL_SAMPLES * PARALLEL_COUNT);
}

static void bench_parallel(void)
{
    uint64_t least = ~0ULL;
    unsigned i;

    must_convert(base, MIXED_SIZE, false);
    smp_start();
    on_all_cpus(convert_own_page, NULL);
    /* The first one began when not all CPUs may have been there */
    for (i = 2; i <= PARALLEL_SAMPLES; i++) {
        uint64_t ticks = reached[i] - reached[i - 1];

        least = ticks < least ? ticks : least;
    }
    report("parallel", least, PARALLEL_COUNT);
}

int main(void)
{
    const MemoryRange *ranges;
    unsigned count;

    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    ranges = memory_ranges(&count);
    base = ranges[count - 1].base + ranges[count - 1].size - MIXED_SIZE;
    base &= ~(MIXED_SIZE - 1);
    assert(memory_is_usable(base, MIXED_SIZE));

    bench("small", sample_small, 100, SMALL_COUNT);
    bench("large", sample_large, 20, LARGE_COUNT);
    bench("mixed", sample_mixed, 15, 1);
    bench_parallel();
    return tap_done();
}
