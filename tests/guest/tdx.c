/*
 * Guest payload: conversions of a TD
 *
 * All memory is private at first, and has contents once it is accepted. A private
 * page that has been shared has lost them.
 *
 * Parameters:
 *   base    guest-physical address, default 16M
 *   size    bytes, default 64K
 *   refused 1: the first conversion to shared is refused; only look at this
 *   whole   1: ask for all of RAM at a time, and wait; only that
 *   quotes  "served" by somebody, or "unavailable"; only look at this
 *   end     "exit" (default); or "fatal": report a fatal error
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define HOLE (40 * GIB)         /* nobody gives this guest so much memory */
#define FATAL_ERROR 0x8000000000420000ULL       /* bit 63: R13 is an address */
#define PAM_Q35 0x90            /* register for 0xf0000; then six more */
#define PAM_COUNT 7
#define PAM_ROM 0x00
#define PAM_RAM 0x33

/* A buffer for a report, and the quote that comes back */
#define QUOTE_VERSION 1
#define QUOTE_STATUS 8
#define QUOTE_SIZES 16
#define QUOTE_DATA 24
#define QUOTE_IN_FLIGHT ~0ULL
#define QUOTE_UNAVAILABLE 0x8000000000000001ULL
#define QUOTES 20

enum { PRIVATE_STAMP = 1, SHARED_STAMP, AGAIN_STAMP };

static uint64_t base, size;

static void stamp_all(uint64_t stamp, bool is_private)
{
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        gpa_write64(address_as(gpa, is_private), gpa + stamp);
    }
}

static unsigned count_stamped(uint64_t stamp, bool is_private)
{
    unsigned count = 0;
    uint64_t gpa;

    for (gpa = base; gpa < base + size; gpa += PAGE_SIZE) {
        count += gpa_read64(address_as(gpa, is_private)) == gpa + stamp;
    }
    return count;
}

static void check_contents(void)
{
    const unsigned pages = size / PAGE_SIZE;

    tap_is(convert(base, size, true), 0, "it is private");
    stamp_all(PRIVATE_STAMP, true);
    tap_is(convert(base, size, true), 0, "asked to be what it is");
    tap_is(count_stamped(PRIVATE_STAMP, true), pages, "it keeps contents");
    tap_is(convert(base, size, false), 0, "to shared");
    tap_is(count_stamped(PRIVATE_STAMP, false), 0, "nothing private is shared");
    stamp_all(SHARED_STAMP, false);
    tap_is(count_stamped(SHARED_STAMP, false), pages, "shared memory works");
    tap_is(convert(base, size, true), 0, "to private");
    tap_is(count_stamped(SHARED_STAMP, true), 0, "nothing shared is private");
    tap_is(count_stamped(PRIVATE_STAMP, true), 0, "what was private is gone");
    stamp_all(AGAIN_STAMP, true);
    tap_is(count_stamped(AGAIN_STAMP, true), pages, "private memory works");
}

static void check_accept(void)
{
    tap_is(tdx_accept(base), TDX_PAGE_ALREADY_ACCEPTED, "a page, once more");
    tap_is(count_stamped(AGAIN_STAMP, true), size / PAGE_SIZE,
           "which keeps its contents");
    tap_is(tdx_accept(base | tdx_shared_bit()), TDX_OPERAND_INVALID_RCX,
           "a shared page is not accepted");
}

static uint64_t map_gpa(uint64_t gpa, uint64_t bytes)
{
    Tdvmcall regs = { .r11 = TDVMCALL_MAP_GPA, .r12 = gpa, .r13 = bytes };

    tdvmcall(&regs);
    return regs.r10;
}

/* What is no RAM cannot be private; the guest is told, and runs on */
static void check_refusals(void)
{
    static const uint64_t never_private[] = {
        HOLE, 0xfec00000, 0xfed00000, 1ULL << 45,
    };
    uint64_t ram_end = fwcfg_ram_size();
    uint64_t stopped;
    unsigned i;

    for (i = 0; i < sizeof(never_private) / sizeof(never_private[0]); i++) {
        uint64_t gpa = never_private[i];

        tap_is(tdx_map_gpa(gpa, PAGE_SIZE, true, &stopped),
               TDVMCALL_INVALID_OPERAND, "refused: 0x%lx", gpa);
        tap_is(stopped, gpa, "and that is where");
        tap_is(tdx_map_gpa(gpa, PAGE_SIZE, false, NULL), 0, "it is shared");
    }
    tap_is(tdx_map_gpa(ram_end - 3 * MIB, 5 * MIB, true, &stopped),
           TDVMCALL_INVALID_OPERAND, "refused: the end of RAM, and more");
    tap_is(stopped, ram_end - MIB, "the first piece was not");
    tap_is(map_gpa(base + 1, PAGE_SIZE), TDVMCALL_ALIGN_ERROR,
           "refused: no page");
    tap_is(map_gpa(base, 0), TDVMCALL_INVALID_OPERAND, "refused: nothing");
    tap_is(map_gpa(tdx_shared_bit() - PAGE_SIZE, 2 * PAGE_SIZE),
           TDVMCALL_INVALID_OPERAND, "refused: private and shared");
    tap_is(count_stamped(AGAIN_STAMP, true), size / PAGE_SIZE,
           "other memory keeps its contents");
}

static uint64_t hypercall(uint64_t gpa, uint64_t bytes, bool to_private)
{
    Tdvmcall regs = { KVM_HC_MAP_GPA_RANGE, gpa, bytes / PAGE_SIZE,
                      to_private ? MAP_GPA_PRIVATE : MAP_GPA_SHARED, 0 };

    tdvmcall(&regs);
    return regs.r10;
}

/* The hypercall of other guests is there too, and knows no shared bit */
static void check_hypercall(void)
{
    const uint64_t shared_base = base | tdx_shared_bit();

    tap_ok(hypercall(HOLE, PAGE_SIZE, true), "hypercall: a hole");
    tap_ok(hypercall(shared_base, size, true), "hypercall: with shared bit");
    tap_is(hypercall(shared_base, size, false), 0, "hypercall: to shared");
    tap_is(count_stamped(AGAIN_STAMP, true), size / PAGE_SIZE,
           "which changes nothing");
    tap_is(hypercall(base, size, false), 0, "hypercall: without it");
    stamp_all(SHARED_STAMP, false);
    tap_is(count_stamped(SHARED_STAMP, false), size / PAGE_SIZE,
           "which changes it");
    tap_is(hypercall(base, size, true), 0, "hypercall: to private");
    stamp_all(AGAIN_STAMP, true);
}

/* An access of the other kind converts a page; all private ones are new ones */
static void check_access(void)
{
    stamp_all(SHARED_STAMP, false);
    tap_is(count_stamped(SHARED_STAMP, false), size / PAGE_SIZE,
           "access: to shared");
    tap_is(count_stamped(AGAIN_STAMP, true), 0, "access: to private");
    stamp_all(AGAIN_STAMP, true);
}

/* Who is to map what is shared may refuse, and nothing is lost by that */
static void check_listener(void)
{
    uint64_t stopped;

    stamp_all(PRIVATE_STAMP, true);
    tap_is(tdx_map_gpa(base, size, false, &stopped), TDVMCALL_INVALID_OPERAND,
           "refused by a listener");
    tap_is(stopped, base, "from the start");
    tap_is(count_stamped(PRIVATE_STAMP, true), size / PAGE_SIZE,
           "all of it keeps contents");
    tap_is(convert(base, size, false), 0, "it can be asked again");
    tap_is(count_stamped(PRIVATE_STAMP, false), 0, "and is shared then");
}

static void set_pam(uint8_t value)
{
    unsigned i;

    for (i = 0; i < PAM_COUNT; i++) {
        pci_write8(0, PAM_Q35 + i, value);
    }
}

/* Private memory beside what comes and goes keeps its contents, and so the VM */
static void check_pam(void)
{
    const uint64_t low = 0x9e000;
    unsigned i;

    page_stamp(low, PRIVATE_STAMP);
    for (i = 0; i < 3; i++) {
        set_pam(PAM_RAM);
        set_pam(PAM_ROM);
    }
    tap_ok(page_has(low, PRIVATE_STAMP), "PAM: memory below keeps contents");
    tap_is(count_stamped(AGAIN_STAMP, true), size / PAGE_SIZE,
           "PAM: memory above keeps contents");
}

static void check_info(void)
{
    Tdvmcall regs = { .r11 = TDVMCALL_GET_INFO, .r12 = 0, .r13 = 1 };

    tdvmcall(&regs);
    tap_ok(!regs.r10 && !regs.r11 && !regs.r13, "what is always there");
    regs = (Tdvmcall) { .r11 = TDVMCALL_GET_INFO, .r12 = 1, .r13 = 1 };
    tdvmcall(&regs);
    tap_ok(!regs.r10 && !regs.r13, "what QEMU has");
}

static uint64_t ask_for_quote(uint64_t report, uint32_t report_size)
{
    Tdvmcall regs = { .r11 = TDVMCALL_GET_QUOTE, .r12 = base | tdx_shared_bit(),
                      .r13 = 2 * PAGE_SIZE };
    uint64_t here = shared_address(base);

    gpa_write64(here, QUOTE_VERSION);
    gpa_write64(here + QUOTE_STATUS, 0);
    gpa_write64(here + QUOTE_SIZES, report_size);
    gpa_write64(here + QUOTE_DATA, report);
    tdvmcall(&regs);
    while (gpa_read64(here + QUOTE_STATUS) == QUOTE_IN_FLIGHT && !regs.r10) {
        cpu_relax();
    }
    return regs.r10;
}

/* More than there may be at a time, as none may be left behind */
static void check_quotes(bool is_served)
{
    const uint64_t status = shared_address(base + QUOTE_STATUS);
    unsigned refused = 0, answered = 0;
    uint64_t i;

    tap_is(convert(base, PAGE_SIZE, false), 0, "the buffer is shared");
    for (i = 0; i < QUOTES; i++) {
        /* All but its first page is private */
        refused += ask_for_quote(i, PAGE_SIZE) == TDVMCALL_INVALID_OPERAND;
    }
    tap_is(refused, QUOTES, "refused: a report in private memory");
    tap_is(convert(base, 2 * PAGE_SIZE, false), 0, "all of it is shared");
    for (i = 0; i < QUOTES; i++) {
        answered += !ask_for_quote(i, sizeof(i)) &&
                    (is_served ? !gpa_read64(status) &&
                                 gpa_read64(status - QUOTE_STATUS +
                                            QUOTE_DATA) == ~i
                               : gpa_read64(status) == QUOTE_UNAVAILABLE);
    }
    tap_is(answered, QUOTES, "quotes are answered");
}

static unsigned wrong;

/* Every so manieth page, so that neighbours are converted at the same time */
static void convert_own_pages(void *unused)
{
    uint64_t step = cpu_count() * PAGE_SIZE;
    unsigned round;
    uint64_t gpa;

    for (round = 1; round <= 10; round++) {
        bool to_private = round % 2 == 0;

        for (gpa = base + cpu_index() * PAGE_SIZE; gpa < base + size;
             gpa += step) {
            uint64_t here = address_as(gpa, to_private);
            bool ok = !convert(gpa, PAGE_SIZE, to_private) &&
                      (!to_private || !gpa_read64(here));

            gpa_write64(here, gpa + round);
            if (!ok || gpa_read64(here) != gpa + round) {
                __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
            }
        }
    }
}

int main(void)
{
    Tdvmcall fatal = { 0, TDVMCALL_FATAL_ERROR, FATAL_ERROR, HOLE, 0 };

    param_memory(&base, &size);
    if (!tap_ok(tdx_present(), "this is a TD")) {
        return tap_done();
    }
    if (param_u64("refused", 0)) {
        check_listener();
        return tap_done();
    }
    if (param_u64("whole", 0)) {
        tap_is(hypercall(base, fwcfg_ram_size() - base, true), 0,
               "asked for all of RAM");
        tap_comment("step asked");
        guest_wait_for('\n');
        return tap_done();
    }
    if (*param_str("quotes", "")) {
        check_quotes(!strcmp(param_str("quotes", ""), "served"));
        return tap_done();
    }
    check_contents();
    check_accept();
    check_refusals();
    check_hypercall();
    check_access();
    check_pam();
    check_info();
    if (smp_start() > 1) {
        on_all_cpus(convert_own_pages, NULL);
        tap_is(wrong, 0, "%u CPUs: wrong pages", cpu_count());
    }
    if (!strcmp(param_str("end", "exit"), "fatal")) {
        tap_done();
        tdvmcall(&fatal);
        panic("the guest goes on after its end");
    }
    return tap_done();
}
