/*
 * Guest payload: memslots come and go while pages are in both states
 *
 * The host bridge maps each 16 KiB from 0xc0000 to 0xfffff to RAM or to what is
 * behind it, ROM (PAM registers). QEMU deletes memslots and makes new ones for
 * that, of the whole RAM above 1 MiB too, which has the payload in it, as it
 * becomes one with RAM below. CPU 1, if there is one, converts memory all the
 * while.
 *
 * State and contents belong to the RAM. While ROM is in its place they stay,
 * but the ROM is readable, and has no private half.
 *
 * Parameter:
 *   rounds   default 10
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define ID_Q35 0x29c08086       /* host bridge, device and vendor */
#define ID_I440FX 0x12378086
#define PAM_Q35 0x90            /* register for 0xf0000, PAM0; then six more */
#define PAM_I440FX 0x59
#define PAM_COUNT 7

/* For both halves of a register; PAM0 ignores the lower one */
#define PAM_ROM 0x00
#define PAM_READ_ONLY 0x11
#define PAM_RAM 0x33

#define OPTION_ROM 0xc8000
#define BIOS 0xf0000            /* the last 64 KiB of the image, once more */
#define BIOS_ALIAS_OFFSET 0xfff00000ULL
#define CONVERTED (32 * MIB)    /* by CPU 1 */

/* One page private, the next shared, below PAM, within, and above */
static const uint64_t bases[] = {
    0x9e000, OPTION_ROM, BIOS, PAYLOAD_LIMIT, 16 * MIB,
};

#define BASES (sizeof(bases) / sizeof(bases[0]))

static unsigned pam;

static void set_pam(uint8_t value)
{
    unsigned i;

    for (i = 0; i < PAM_COUNT; i++) {
        pci_write8(0, pam + i, value);
    }
}

static bool find_pam(void)
{
    uint32_t id = pci_read32(0, 0);

    pam = id == ID_Q35 ? PAM_Q35 : id == ID_I440FX ? PAM_I440FX : 0;
    return pam;
}

static bool behind_pam(unsigned base)
{
    return bases[base] >= OPTION_ROM && bases[base] < MIB;
}

static unsigned count_right(bool pam_is_ram)
{
    unsigned right = 0;
    unsigned i;

    for (i = 0; i < BASES; i++) {
        if (pam_is_ram || !behind_pam(i)) {
            right += page_has(bases[i], 1);
            right += page_has(bases[i] + PAGE_SIZE, 2);
        } else {
            right += 2;
        }
    }
    return right;
}

static void prepare(void)
{
    unsigned i;

    for (i = 0; i < BASES; i++) {
        page_stamp(bases[i], 3);
        tap_is(convert(bases[i], PAGE_SIZE, true), 0, "0x%lx to private",
               bases[i]);
        page_stamp(bases[i], 1);
        tap_is(convert(bases[i] + PAGE_SIZE, PAGE_SIZE, false), 0,
               "0x%llx to shared", bases[i] + PAGE_SIZE);
        page_stamp(bases[i] + PAGE_SIZE, 2);
    }
}

/* What is in ROM: a copy of the image's end, and nothing for option ROMs */
static bool rom_is_readable(void)
{
    uint64_t offset;

    for (offset = 0; offset < 2 * PAGE_SIZE; offset += sizeof(uint64_t)) {
        if (gpa_read64(BIOS + offset) !=
            gpa_read64(BIOS_ALIAS_OFFSET + BIOS + offset)) {
            return false;
        }
    }
    return page_is_zero(OPTION_ROM) && page_is_zero(OPTION_ROM + PAGE_SIZE);
}

static void test_round(unsigned round)
{
    set_pam(PAM_ROM);
    /* Under SEV-SNP this is private memory, and no copy of the image */
    if (!snp_present()) {
        tap_ok(rom_is_readable(), "%u: ROM is readable", round);
        tap_is(convert(BIOS, 2 * PAGE_SIZE, true), -KVM_EOPNOTSUPP,
               "%u: ROM to private", round);
        tap_is(convert(BIOS, 2 * PAGE_SIZE, false), 0, "%u: ROM to shared",
               round);
    }
    tap_is(count_right(false), 2 * BASES, "%u: other RAM is as it was", round);
    set_pam(PAM_READ_ONLY);
    tap_is(count_right(true), 2 * BASES, "%u: read-only RAM is as it was",
           round);
    set_pam(PAM_RAM);
    tap_is(count_right(true), 2 * BASES, "%u: RAM is as it was", round);
}

/* A state is the right one if a conversion does what it does to that state */
static void check_states(void)
{
    unsigned i;

    for (i = 0; i < BASES; i++) {
        tap_is(convert(bases[i], 2 * PAGE_SIZE, false), 0,
               "0x%lx to shared, of which the second page is", bases[i]);
        tap_ok(page_is_zero(bases[i]) && page_has(bases[i] + PAGE_SIZE, 2),
               "0x%lx: contents of the second page only", bases[i]);
        tap_ok(!page_was_private(bases[i]) && page_is_new(bases[i], true),
               "0x%lx: the private half is gone", bases[i]);
    }
}

static bool stop;
static unsigned others_failures;
static unsigned others_conversions;

static void convert_all_the_while(void *arg)
{
    unsigned i;

    for (i = 1; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
        uint64_t gpa = CONVERTED + i % 8 * PAGE_SIZE;

        page_stamp(gpa, i % MIB);
        others_failures += !page_has(gpa, i % MIB);
        others_failures += convert(gpa, PAGE_SIZE, i / 8 % 2) != 0;
        others_failures += i >= 16 && !page_is_new(gpa, i / 8 % 2);
        others_conversions = i;
    }
}

int main(void)
{
    unsigned rounds = param_u64("rounds", 10);
    unsigned i;

    assert(memory_is_usable(CONVERTED, 8 * PAGE_SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    if (!find_pam()) {
        return tap_skip_all("unknown host bridge");
    }
    set_pam(PAM_RAM);
    prepare();
    if (smp_start() > 1) {
        smp_run(1, convert_all_the_while, NULL);
    }
    for (i = 0; i < rounds; i++) {
        test_round(i);
    }
    if (cpu_count() > 1) {
        __atomic_store_n(&stop, true, __ATOMIC_RELAXED);
        smp_wait(1);
        tap_ok(others_conversions && !others_failures,
               "CPU 1: %u failures in %u conversions", others_failures,
               others_conversions);
    }
    check_states();
    return tap_done();
}
