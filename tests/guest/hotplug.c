/*
 * Guest payload: a DIMM comes and goes while its pages are in both states
 *
 * The host plugs DIMM 0 when it reads "# step plug", and sends a newline. It
 * asks for its removal at "# step unplug", which the payload waits for, and
 * sends a newline at "# step unplugged" once the DIMM is gone. This happens
 * three times: first with new memory, then with the same memory at another
 * address, then with new memory at the first address. After that it happens as
 * often as the parameter "cycles" says, default 0.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "dimm.h"
#include "guest.h"
#include "mmio.h"

#define PAGES 16                /* every other one is private */

/* Contents move with the memory, so they depend on the page's number only */
static uint64_t word(unsigned page, unsigned generation)
{
    return 0x5ec2e70000000000ULL | generation << 16 | page;
}

/* In a TD the address of an access says which state it is for */
static uint64_t used_address(uint64_t base, unsigned page)
{
    return address_as(base + page * PAGE_SIZE, page % 2);
}

static void fill(uint64_t gpa, uint64_t value)
{
    uint64_t offset;

    for (offset = 0; offset < PAGE_SIZE; offset += sizeof(value)) {
        gpa_write64(gpa + offset, value);
    }
}

static bool is_filled(uint64_t gpa, uint64_t value)
{
    uint64_t offset;

    for (offset = 0; offset < PAGE_SIZE; offset += sizeof(value)) {
        if (gpa_read64(gpa + offset) != value) {
            return false;
        }
    }
    return true;
}

static void check_new(uint64_t base)
{
    bool starts_private = snp_present() || tdx_present();
    unsigned new = 0, private = 0, empty = 0;
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        uint64_t gpa = base + i * PAGE_SIZE;

        new += page_is_new(gpa, starts_private);
        /* An access to what is shared would make it private in a TD */
        private += tdx_present() || page_was_private(gpa);
        empty += starts_private || page_is_new(gpa, true);
    }
    tap_is(new, PAGES, "new memory has nothing in it");
    tap_is(private, starts_private ? PAGES : 0, "new memory is %s",
           starts_private ? "private" : "shared");
    tap_is(empty, PAGES, "new memory's private half is empty");
    tap_is(convert(base, PAGES * PAGE_SIZE, false), 0, "all to shared");
}

/* Every other page becomes private; both halves of those are written */
static void use(uint64_t base, unsigned generation)
{
    unsigned failed = 0;
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        uint64_t gpa = base + i * PAGE_SIZE;

        if (i % 2) {
            failed += convert(gpa, PAGE_SIZE, true) != 0;
        }
        fill(used_address(base, i), word(i, generation));
    }
    tap_is(failed, 0, "every other page to private");
}

/*
 * The same memory: as use() left it, wherever it is. A TD loses what is private
 * with the memory slot. There it is known from contents that what was shared is.
 */
static void check_used(uint64_t base, unsigned generation)
{
    unsigned kept = 0, private = 0, shared = 0;
    unsigned i;

    for (i = 0; i < PAGES; i++) {
        bool is_lost = tdx_present() && i % 2;

        kept += is_filled(used_address(base, i),
                          is_lost ? 0 : word(i, generation));
    }
    tap_is(kept, PAGES, "the same memory has its contents");
    if (tdx_present()) {
        return;
    }
    for (i = 0; i < PAGES; i += 2) {
        shared += !page_was_private(base + i * PAGE_SIZE);
        private += page_was_private(base + (i + 1) * PAGE_SIZE);
    }
    tap_is(shared, PAGES / 2, "what was shared in it still is");
    tap_is(private, PAGES / 2, "what was private in it still is");
}

/*
 * Were a page still private for KVM, it would be no MMIO but a fault that
 * cannot be resolved. Not under SEV-SNP: where KVM remembers MMIO, the test
 * kernel takes the first access to what is plugged there later for a shared one.
 */
static void check_hole(uint64_t base)
{
    unsigned stuck = 0;
    unsigned i;

    for (i = 0; !snp_present() && i < PAGES; i++) {
        uint64_t gpa = base + i * PAGE_SIZE;

        mmio_write32(gpa, word(i, 1));
        stuck += mmio_read32(gpa) == (uint32_t)word(i, 1);
    }
    tap_is(stuck, 0, "where the DIMM was is a hole");
    tap_is(convert(base, PAGES * PAGE_SIZE, true), -KVM_EINVAL,
           "the hole to private");
    tap_is(convert(base, PAGES * PAGE_SIZE, false), 0, "the hole to shared");
}

int main(void)
{
    uint64_t cycles = param_u64("cycles", 0);
    uint64_t first, second, i;

    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    first = dimm_plug();
    check_new(first);
    use(first, 1);
    dimm_unplug();
    check_hole(first);

    second = dimm_plug();
    tap_ok(second != first, "the same memory comes at another address");
    check_used(second, 1);
    use(second, 2);
    dimm_unplug();
    check_hole(first);
    check_hole(second);

    tap_is(dimm_plug(), first, "new memory comes at the first address");
    check_new(first);
    use(first, 3);
    dimm_unplug();
    check_hole(first);

    for (i = 0; i < cycles; i++) {
        first = dimm_plug();
        use(first, i);
        tap_is(convert(first, PAGES * PAGE_SIZE, false), 0, "back to shared");
        dimm_unplug();
        check_hole(first);
    }
    return tap_done();
}
