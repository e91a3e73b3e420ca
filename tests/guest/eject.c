/*
 * Guest payload: DIMMs come and go while all other CPUs convert their pages
 *
 * Ranges of random size become private or shared for as long as it takes, also
 * where no DIMM is, and beyond the end of one. A conversion works or is refused
 * as one of what is not there. In the end there must be memory that works, and
 * nothing where it was.
 *
 * The host plugs and unplugs DIMM 0 as lib/dimm.h says, three times. After that
 * it does so as often as the parameter "cycles" says, default 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "dimm.h"
#include "guest.h"

#define DIMM_SIZE (128 * MIB)
#define DIMM_PAGES (DIMM_SIZE / PAGE_SIZE)
#define MOST_PAGES 1024         /* of a conversion */
#define ENOUGH 100
#define STEP MIB                /* from one page that is looked at to the next */

static uint64_t base = 4 * GIB;
static bool stop;

/* Sums over all CPUs */
static uint64_t converted;
static uint64_t refused;
static uint64_t failed;

static void add(uint64_t *sum, uint64_t value)
{
    __atomic_add_fetch(sum, value, __ATOMIC_RELAXED);
}

static void work(void *arg)
{
    Prng prng;

    prng_init(&prng, cpu_index());
    while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
        uint64_t gpa = __atomic_load_n(&base, __ATOMIC_RELAXED) +
                       prng_below(&prng, DIMM_PAGES) * PAGE_SIZE;
        uint64_t size = (1 + prng_below(&prng, MOST_PAGES)) * PAGE_SIZE;
        bool to_private = prng_below(&prng, 2);
        long ret = convert(gpa, size, to_private);

        add(&converted, ret == 0);
        /* What is not there is shared already */
        add(&refused, ret == -KVM_EINVAL && to_private);
        add(&failed, ret != 0 && !(ret == -KVM_EINVAL && to_private));
    }
}

static void wait_for_more(const uint64_t *sum)
{
    uint64_t end = __atomic_load_n(sum, __ATOMIC_RELAXED) + ENOUGH;

    while (__atomic_load_n(sum, __ATOMIC_RELAXED) < end) {
        cpu_relax();
    }
}

static void check_memory(void)
{
    unsigned kept = 0, private = 0, shared = 0;
    uint64_t gpa;

    tap_is(convert(base, DIMM_SIZE, false), 0, "all to shared");
    for (gpa = base; gpa < base + DIMM_SIZE; gpa += STEP) {
        gpa_write64(gpa, gpa);
    }
    for (gpa = base; gpa < base + DIMM_SIZE; gpa += STEP) {
        kept += gpa_read64(gpa) == gpa;
    }
    tap_is(kept, DIMM_SIZE / STEP, "pages that keep what is written");
    tap_is(convert(base, DIMM_SIZE, true), 0, "all to private");
    for (gpa = base; gpa < base + DIMM_SIZE; gpa += STEP) {
        private += gpa_read64(gpa) == 0;
        gpa_write64(gpa, ~gpa);
    }
    tap_is(private, DIMM_SIZE / STEP, "pages that became private");
    tap_is(convert(base, DIMM_SIZE, false), 0, "all to shared again");
    for (gpa = base; gpa < base + DIMM_SIZE; gpa += STEP) {
        shared += gpa_read64(gpa) == 0;
    }
    tap_is(shared, DIMM_SIZE / STEP, "pages that became shared");
}

/* Were a page still private for KVM, the access could not be resolved */
static void check_hole(void)
{
    unsigned stuck = 0;
    uint64_t gpa;

    for (gpa = base; gpa < base + DIMM_SIZE; gpa += STEP) {
        gpa_write64(gpa, gpa);
        stuck += gpa_read64(gpa) == gpa;
    }
    tap_is(stuck, 0, "where the DIMM was is a hole");
    tap_is(convert(base, DIMM_SIZE, true), -KVM_EINVAL, "the hole to private");
}

int main(void)
{
    uint64_t plugs = 3 + param_u64("cycles", 0);
    unsigned cpus, cpu;

    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    cpus = smp_start();
    assert(cpus > 1);
    for (cpu = 1; cpu < cpus; cpu++) {
        smp_run(cpu, work, NULL);
    }
    for (; plugs > 1; plugs--) {
        __atomic_store_n(&base, dimm_plug(), __ATOMIC_RELAXED);
        wait_for_more(&converted);
        dimm_unplug();
        wait_for_more(&refused);
    }
    __atomic_store_n(&base, dimm_plug(), __ATOMIC_RELAXED);
    wait_for_more(&converted);
    __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
    for (cpu = 1; cpu < cpus; cpu++) {
        smp_wait(cpu);
    }
    tap_comment("converted: %lu, refused: %lu", converted, refused);
    tap_is(failed, 0, "conversions that failed otherwise");
    check_memory();
    dimm_unplug();
    check_hole();
    return tap_done();
}
