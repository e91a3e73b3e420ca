/*
 * Guest payload: all CPUs convert memory at the same time
 *
 * In every other phase each CPU converts pages of its own, once or several
 * times before it checks contents again. Its pages are interleaved with those
 * of the others in one such phase, and a block in the next, where ranges of
 * random length are converted. Converted pages are new, as under QEMU's
 * default discard policy.
 *
 * In the phases between them all CPUs convert the same pages to random states,
 * and touch some with random intent. Contents are arbitrary then, but after
 * each phase every page must take part in a conversion as if nothing had
 * happened.
 *
 * In the end all of the memory is shared, each word holds its own address, and
 * the payload waits for a newline at "# step look gpa=0x... size=0x...", so
 * that the host can look.
 *
 * Parameters:
 *   base         guest-physical address, default 16M
 *   conversions  default 20000; all CPUs together
 *   seed         of the random numbers, default 1
 *   resets       default 0. As often the storm goes on for ever, from
 *                "# in the storm" on, until the machine is reset; then it must
 *                find memory as it was at first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define PAGES 512
#define SMALL 8                 /* pages, where all CPUs are to meet */
#define MAX_RANGE 4             /* pages */
#define MAX_TURNS 16            /* conversions between two looks at contents */
#define PHASES 8
#define FOR_EVER (~0ULL)
#define IN_THE_STORM 500        /* conversions of CPU 0 until it says so */

typedef struct Page {
    bool is_private;
    uint64_t stamp;             /* 0: none yet */
} Page;

typedef enum Phase {
    INTERLEAVED,
    OVERLAPPING,
    BLOCKS,
    OVERLAPPING_AGAIN,
} Phase;

static uint64_t base;
static uint64_t seed;
static uint64_t quota;          /* conversions of each CPU in each phase */
static Phase phase;
static unsigned cpus;
static Page model[PAGES];

/* Sums over all CPUs */
static uint64_t conversions;
static uint64_t failed;
static uint64_t lost;           /* pages whose contents have changed */
static uint64_t dirty;          /* pages not new after a conversion */
static uint64_t stuck;          /* pages that a conversion left as they were */

static uint64_t gpa_of(unsigned page)
{
    return base + page * PAGE_SIZE;
}

/*
 * One word of each page is written and checked: pages are converted as a whole,
 * and to look at all of it would take longer than the conversion.
 */
static uint64_t word_of(unsigned page)
{
    return gpa_of(page) + page * sizeof(uint64_t) % PAGE_SIZE;
}

/* Where that is, as memory of a state */
static uint64_t here(unsigned page, bool is_private)
{
    return address_as(word_of(page), is_private);
}

static void stamp_page(unsigned page, bool is_private, uint64_t stamp)
{
    gpa_write64(here(page, is_private), word_of(page) << 24 | stamp);
}

static bool has_stamp(unsigned page, bool is_private, uint64_t stamp)
{
    return gpa_read64(here(page, is_private)) ==
           (word_of(page) << 24 | stamp);
}

static void add(uint64_t *sum, uint64_t value)
{
    __atomic_add_fetch(sum, value, __ATOMIC_RELAXED);
}

/* Where the @n-th of a CPU's own pages is */
static unsigned own_page(unsigned n)
{
    return phase == BLOCKS ? cpu_index() * (PAGES / cpus) + n
                           : n * cpus + cpu_index();
}

static void check_stamp(unsigned page)
{
    const Page *p = &model[page];

    add(&lost, p->stamp && !has_stamp(page, p->is_private, p->stamp));
}

/* Returns: the number of conversions */
static unsigned convert_own(Prng *prng, uint64_t stamp)
{
    unsigned mine = PAGES / cpus;
    unsigned n = prng_below(prng, mine);
    unsigned first = own_page(n);
    unsigned count = 1;
    unsigned turns = 1 + prng_below(prng, MAX_TURNS);
    bool to_private = model[first].is_private;
    unsigned turn, i;

    /* Neighbours in memory are the same CPU's in this phase only */
    if (phase == BLOCKS) {
        count = mine - n < MAX_RANGE ? mine - n : MAX_RANGE;
        count = 1 + prng_below(prng, count);
    }
    for (i = first; i < first + count; i++) {
        check_stamp(i);
    }
    for (turn = 0; turn < turns; turn++) {
        to_private = !to_private;
        add(&failed,
            convert(gpa_of(first), count * PAGE_SIZE, to_private) != 0);
    }
    for (i = first; i < first + count; i++) {
        if (turns == 1 && model[i].is_private == to_private) {
            check_stamp(i);
        } else {
            add(&dirty,
                gpa_read64(here(i, to_private)) != new_word(to_private));
        }
        stamp_page(i, to_private, stamp);
        model[i] = (Page) { .is_private = to_private, .stamp = stamp };
    }
    return turns;
}

/* Returns: the number of conversions */
static unsigned convert_anything(Prng *prng)
{
    unsigned turns = 1 + prng_below(prng, MAX_TURNS);
    const void *touched;
    unsigned turn;

    for (turn = 0; turn < turns; turn++) {
        /* Half of the time in few pages, to collide more often */
        unsigned limit = prng_below(prng, 2) ? SMALL : PAGES;
        unsigned first = prng_below(prng, limit);
        unsigned count = limit - first < MAX_RANGE ? limit - first : MAX_RANGE;
        bool to_private = prng_below(prng, 2);

        count = 1 + prng_below(prng, count);
        add(&failed,
            convert(gpa_of(first), count * PAGE_SIZE, to_private) != 0);
    }
    /* Of any state by now, and not mapped if it has just got that state */
    touched = gpa_to_ptr(gpa_of(prng_below(prng, SMALL)));
    if (prng_below(prng, 2)) {
        touch_private(touched);
    } else {
        touch_shared(touched);
    }
    return turns;
}

static void work(void *arg)
{
    uint64_t done = 0;
    uint64_t stamp;
    bool told = false;
    Prng prng;

    prng_init(&prng, (seed << 16) + (phase << 8) + cpu_index());
    for (stamp = 1; done < quota; stamp = stamp % MIB + 1) {
        if (phase == INTERLEAVED || phase == BLOCKS) {
            done += convert_own(&prng, stamp);
        } else {
            done += convert_anything(&prng);
        }
        if (quota == FOR_EVER && cpu_index() == 0 && !told &&
            done > IN_THE_STORM) {
            tap_comment("in the storm");
            told = true;
        }
    }
    add(&conversions, done);
}

static void convert_all(bool to_private)
{
    add(&failed, convert(base, PAGES * PAGE_SIZE, to_private) != 0);
}

/*
 * QEMU's bookkeeping and KVM's attributes must agree on every page: if one of
 * them does not change with a conversion of all, the page shows what was
 * written before.
 */
static void settle(void)
{
    static uint64_t stamp = 2 * MIB;
    bool is_private = true;
    unsigned turn, i;

    convert_all(true);
    for (turn = 0; turn < 3; turn++) {
        stamp++;
        for (i = 0; i < PAGES; i++) {
            stamp_page(i, is_private, stamp);
        }
        is_private = turn % 2;
        convert_all(is_private);
        for (i = 0; i < PAGES; i++) {
            stuck += has_stamp(i, is_private, stamp);
        }
    }
    memset(model, 0, sizeof(model));
}

static void run_phase(unsigned number, const char *name)
{
    uint64_t start = rdtsc();

    phase = number % 4;
    failed = lost = dirty = stuck = 0;
    on_all_cpus(work, NULL);
    tap_comment("%lu ticks", rdtsc() - start);
    settle();
    tap_ok(!failed && !lost && !dirty && !stuck, "%u: %s", number, name);
    tap_comment("conversions that failed: %lu; pages that lost contents: %lu, "
                "that were not new after: %lu, that did not change: %lu",
                failed, lost, dirty, stuck);
}

static void test_initial_state(void)
{
    unsigned private = 0, used = 0;
    unsigned i;

    if (tdx_present()) {
        /* An access says what it means, so there is no way to find out */
        convert_all(false);
        return;
    }
    for (i = 0; i < PAGES; i++) {
        private += page_was_private(gpa_of(i));
        used += !page_is_new(gpa_of(i), true);
    }
    if (snp_present()) {
        tap_is(private, PAGES, "all pages are private at first");
        convert_all(false);
        return;
    }
    tap_is(private, 0, "all pages are shared at first");
    tap_is(used, 0, "all private halves are new at first");
    convert_all(false);
}

int main(void)
{
    static const char *const names[] = {
        "interleaved", "overlapping", "blocks", "overlapping",
    };
    unsigned boot = boot_begin();
    uint64_t total = param_u64("conversions", 20000);
    unsigned number;
    uint64_t gpa;

    base = param_u64("base", 16 * MIB);
    seed = param_u64("seed", 1);
    assert(memory_is_usable(base, PAGES * PAGE_SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    cpus = smp_start();
    tap_comment("base=0x%lx conversions=%lu seed=%lu cpus=%u", base, total,
                seed, cpus);
    quota = (total + PHASES * cpus - 1) / (PHASES * cpus);
    test_initial_state();
    if (boot < param_u64("resets", 0)) {
        quota = FOR_EVER;
        run_phase(boot, names[boot % 4]);
    }
    for (number = 0; number < PHASES; number++) {
        run_phase(number, names[number % 4]);
    }
    tap_ok(conversions >= total, "%lu conversions", conversions);

    for (gpa = base; gpa < base + PAGES * PAGE_SIZE; gpa += sizeof(gpa)) {
        gpa_write64(shared_address(gpa), gpa);
    }
    tap_comment("step look gpa=0x%lx size=0x%llx", base, PAGES * PAGE_SIZE);
    guest_wait_for('\n');
    return tap_done();
}
