/*
 * Guest payload: convert a range to private and back, and look at contents
 *
 * Parameters:
 *   size    bytes, default 4K
 *   base    guest-physical address; default 16M, or the size if that is more,
 *           so that a range that is a power of two is aligned by its size
 *   how     "explicit" (default): one hypercall for the whole range;
 *           "implicit": an access of the other intent to each page
 *   stride  bytes from one page that is looked at (and touched, when implicit)
 *           to the next, default 4096
 *
 * What is checked is that neither half of a page shows what was written to the
 * other one. Whether a half keeps its own contents while the page is in the
 * other state is up to QEMU's discard policy; both is fine here.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define DEFAULT_BASE (16 * MIB)
#define NEVER_STAMPED 0
#define NEIGHBOUR_STAMP 255

static uint64_t base;
static uint64_t size;
static uint64_t stride;
static bool implicit;

/*
 * Conversions alternate between both ways when implicit: an implicit one
 * cannot check itself, as a plain access without effect looks the same. The
 * explicit one after it does: were the range still in its old state, the
 * explicit one would change nothing, and show what must not be seen.
 */
static const struct {
    bool to_private;
    bool by_parameter;          /* else always explicit */
} moves[] = {
    { true, true },
    { false, false },
    { true, false },
    { false, true },
    { true, false },
    { false, false },
};

static const char *state_name(bool is_private)
{
    return is_private ? "private" : "shared";
}

/* Never 0, and different for each address and generation */
static uint64_t pattern(uint64_t gpa, unsigned generation)
{
    return (gpa << 8 | generation) * 0x9e3779b97f4a7c15ULL;
}

/* One word per page, each page at another offset */
static uint64_t word_of_page(uint64_t gpa)
{
    return gpa + (gpa / PAGE_SIZE * sizeof(uint64_t)) % PAGE_SIZE;
}

static void stamp(unsigned generation, bool is_private)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += stride) {
        uint64_t word = word_of_page(gpa);

        gpa_write64(address_as(word, is_private), pattern(word, generation));
    }
}

/*
 * Every word must be new or, if not NEVER_STAMPED, what was last stamped while
 * the range was in this state.
 */
static void check(unsigned step, bool is_private, unsigned generation)
{
    uint64_t new = 0, kept = 0, wrong = 0;
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += stride) {
        uint64_t word = word_of_page(gpa);
        uint64_t value = gpa_read64(address_as(word, is_private));

        if (value == new_word(is_private)) {
            new++;
        } else if (generation != NEVER_STAMPED &&
                   value == pattern(word, generation)) {
            kept++;
        } else {
            if (!wrong) {
                tap_comment("at 0x%lx: 0x%lx", word, value);
            }
            wrong++;
        }
    }
    tap_is(wrong, 0, "%u: %s memory shows nothing of the %s half", step,
           state_name(is_private), state_name(!is_private));
    tap_comment("%lu pages are new, %lu kept their contents", new, kept);
}

static bool convert_implicitly(bool to_private)
{
    uint64_t gpa;

    /* The stamps have mapped the pages */
    if (forget_mapping(base, size, !to_private)) {
        return false;
    }
    for (gpa = base; gpa < base + size; gpa += stride) {
        if (to_private) {
            touch_private(gpa_to_ptr(word_of_page(gpa)));
        } else {
            touch_shared(gpa_to_ptr(word_of_page(gpa)));
        }
    }
    return true;
}

static void move(unsigned step, bool to_private, bool implicitly)
{
    uint64_t start = rdtsc();

    if (implicitly) {
        tap_ok(convert_implicitly(to_private), "%u: touch as %s", step,
               state_name(to_private));
    } else {
        tap_is(convert(base, size, to_private), 0, "%u: hypercall to %s", step,
               state_name(to_private));
    }
    tap_comment("%lu ticks", rdtsc() - start);
}

/* The pages before and after the range; 0 if they are no RAM of ours */
static uint64_t neighbours[2];

static void stamp_neighbours(void)
{
    const uint64_t candidates[2] = { base - PAGE_SIZE, base + size };
    unsigned i;
    uint64_t offset;

    for (i = 0; i < 2; i++) {
        if (!memory_is_usable(candidates[i], PAGE_SIZE)) {
            tap_comment("neighbour 0x%lx is no usable RAM", candidates[i]);
            continue;
        }
        neighbours[i] = candidates[i];
        for (offset = 0; offset < PAGE_SIZE; offset += sizeof(uint64_t)) {
            uint64_t gpa = neighbours[i] + offset;

            gpa_write64(gpa, pattern(gpa, NEIGHBOUR_STAMP));
        }
    }
}

static void check_neighbours(unsigned step)
{
    unsigned wrong = 0;
    unsigned i;
    uint64_t offset;

    for (i = 0; i < 2; i++) {
        for (offset = 0; neighbours[i] && offset < PAGE_SIZE;
             offset += sizeof(uint64_t)) {
            uint64_t gpa = neighbours[i] + offset;

            wrong += gpa_read64(gpa) != pattern(gpa, NEIGHBOUR_STAMP);
        }
    }
    tap_is(wrong, 0, "%u: neighbours keep their contents", step);
}

static void read_parameters(void)
{
    const char *how = param_str("how", "explicit");

    size = param_u64("size", PAGE_SIZE);
    base = param_u64("base", size > DEFAULT_BASE ? size : DEFAULT_BASE);
    stride = param_u64("stride", PAGE_SIZE);
    implicit = !strcmp(how, "implicit");
    if (!implicit && strcmp(how, "explicit")) {
        panic("how=%s is neither explicit nor implicit", how);
    }
    if (!size || !stride || (base | size | stride) % PAGE_SIZE) {
        panic("base, size or stride is not page-aligned, or 0");
    }
    if (!memory_is_usable(base, size)) {
        panic("0x%lx + 0x%lx is no usable RAM", base, size);
    }
    tap_comment("base 0x%lx size 0x%lx stride 0x%lx %s", base, size, stride,
                how);
}

int main(void)
{
    /* Generation that was last stamped into the shared and private half */
    unsigned last[2] = { NEVER_STAMPED, NEVER_STAMPED };
    unsigned i;

    read_parameters();
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    stamp_neighbours();
    if (!tap_is(convert(base, size, false), 0, "start with shared memory")) {
        return tap_done();
    }
    for (i = 0; i < sizeof(moves) / sizeof(moves[0]); i++) {
        bool to_private = moves[i].to_private;

        stamp(i + 1, !to_private);
        last[!to_private] = i + 1;
        move(i + 1, to_private, implicit && moves[i].by_parameter);
        check(i + 1, to_private, last[to_private]);
        check_neighbours(i + 1);
    }
    return tap_done();
}
