/*
 * Guest payload: conversions that must fail, and some that look as if they did
 *
 * The guest gets an error in its register, nothing has changed, and the machine
 * runs on. For what must be what see "Phase 0" in the design: a hole or MMIO is
 * never private (-KVM_EINVAL), nor is memory that has no private half
 * (-KVM_EOPNOTSUPP); all of them are shared already, so that converting them to
 * shared is no error.
 *
 * For a machine with 256 MiB, or at least less than 512 MiB.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define RAM (16 * MIB)
#define HOLE (512 * MIB)
#define FAR_HOLE (1ULL << 45)   /* more than any CPU here can address */
#define LAST_PAGE (~0ULL - PAGE_SIZE + 1)
#define OPTION_ROM 0xc0000
#define IOAPIC 0xfec00000
#define HPET 0xfed00000
#define BIOS 0xffff0000         /* the payload's own image */
#define BIOS_SIZE (64 * KIB)

static const struct {
    const char *name;
    uint64_t gpa;
    uint64_t npages;
    long to_private;
    long to_shared;
} ranges[] = {
    { "a hole", HOLE, 1, -KVM_EINVAL, 0 },
    { "1 GiB of holes and MMIO", 3 * GIB, GIB / PAGE_SIZE, -KVM_EINVAL, 0 },
    { "a hole far above", FAR_HOLE, 512, -KVM_EINVAL, 0 },
    { "IOAPIC", IOAPIC, 1, -KVM_EINVAL, 0 },
    { "HPET", HPET, 1, -KVM_EINVAL, 0 },
    { "BIOS", BIOS, BIOS_SIZE / PAGE_SIZE, -KVM_EOPNOTSUPP, 0 },
    { "option ROMs", OPTION_ROM, 1, -KVM_EOPNOTSUPP, 0 },
    { "RAM and ROM", OPTION_ROM - PAGE_SIZE, 2, -KVM_EOPNOTSUPP, 0 },
    { "all below 4 GiB", 0, 4 * GIB / PAGE_SIZE, -KVM_EOPNOTSUPP, 0 },
    { "last page of 2^64 bytes", LAST_PAGE, 1, -KVM_EINVAL, -KVM_EINVAL },
    /* Neither of these wraps in pages, which is all that KVM looks at */
    { "2^64 bytes", 0, 1ULL << 52, -KVM_EINVAL, -KVM_EINVAL },
    { "2^64 bytes and a page", RAM, (1ULL << 52) + 1,
      -KVM_EINVAL, -KVM_EINVAL },
};

static void test_ranges(void)
{
    unsigned i;

    for (i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        tap_is(hypercall_map_gpa_range(ranges[i].gpa, ranges[i].npages,
                                       MAP_GPA_PRIVATE),
               ranges[i].to_private, "%s, to private", ranges[i].name);
        tap_is(hypercall_map_gpa_range(ranges[i].gpa, ranges[i].npages,
                                       MAP_GPA_SHARED),
               ranges[i].to_shared, "%s, to shared", ranges[i].name);
    }
}

static const struct {
    const char *name;
    uint64_t attrs;
    long result;
} attributes[] = {
    { "page size 4K", MAP_GPA_PAGE_4K, 0 },
    { "page size 2M", MAP_GPA_PAGE_2M, 0 },
    { "page size 1G", MAP_GPA_PAGE_1G, 0 },
    { "page size 3, which there is not", 3, -KVM_EINVAL },
    { "page size 4", 4, -KVM_EINVAL },
    { "page size 15", 15, -KVM_EINVAL },
    { "bit 5", 1ULL << 5, -KVM_EINVAL },
    { "bit 8", 1ULL << 8, -KVM_EINVAL },
    { "bit 32", 1ULL << 32, -KVM_EINVAL },
    { "bit 63", 1ULL << 63, -KVM_EINVAL },
};

/* Whatever the preferred page size, the length is in pages of 4 KiB */
static void test_attributes(void)
{
    const uint64_t neighbour = RAM + PAGE_SIZE;
    unsigned i;

    for (i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++) {
        uint64_t attrs = attributes[i].attrs;
        long result = attributes[i].result;

        assert(!convert(RAM, 2 * PAGE_SIZE, false));
        page_stamp(RAM, 2 * i);
        page_stamp(neighbour, 2 * i);
        tap_is(hypercall_map_gpa_range(RAM, 1, attrs | MAP_GPA_PRIVATE), result,
               "%s, to private", attributes[i].name);
        tap_ok(page_has(RAM, 2 * i) == !!result && page_has(neighbour, 2 * i),
               "%s page is converted", result ? "no" : "one");

        assert(!convert(RAM, PAGE_SIZE, true));
        page_stamp(RAM, 2 * i + 1);
        tap_is(hypercall_map_gpa_range(RAM, 1, attrs | MAP_GPA_SHARED), result,
               "%s, to shared", attributes[i].name);
        tap_ok(page_has(RAM, 2 * i + 1) == !!result &&
               page_has(neighbour, 2 * i),
               "%s page is converted", result ? "no" : "one");
    }
}

/* Every other page of RAM up to its end, where the hole begins, is private */
static void test_partly(void)
{
    enum { PAGES = 4 };
    unsigned count;
    const MemoryRange *ram = memory_ranges(&count);
    uint64_t end = ram[0].base + ram[0].size;
    uint64_t start = end - PAGES * PAGE_SIZE;
    unsigned kept = 0, shown = 0;
    unsigned i;

    assert(end <= HOLE);
    for (i = 0; i < PAGES; i++) {
        if (i % 2) {
            assert(!convert(start + i * PAGE_SIZE, PAGE_SIZE, true));
        }
        page_stamp(start + i * PAGE_SIZE, i);
    }
    tap_is(convert(start, (PAGES + 1) * PAGE_SIZE, true), -KVM_EINVAL,
           "RAM and a hole, to private");
    tap_is(convert(start, HPET - start, true), -KVM_EINVAL,
           "RAM, holes and MMIO, to private");
    for (i = 0; i < PAGES; i++) {
        kept += page_has(start + i * PAGE_SIZE, i);
    }
    tap_is(kept, PAGES, "all pages have kept their contents");

    tap_is(convert(start, (PAGES + 1) * PAGE_SIZE, false), 0,
           "RAM and a hole, to shared");
    for (i = 0; i < PAGES; i++) {
        shown += i % 2 && page_has(start + i * PAGE_SIZE, i);
    }
    tap_is(shown, 0, "private ones had been private, and are shared now");
    for (i = 0; i < PAGES; i += 2) {
        tap_ok(page_has(start + i * PAGE_SIZE, i) &&
               !page_was_private(start + i * PAGE_SIZE),
               "shared page %u had been shared, and is", i);
    }
}

int main(void)
{
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    test_ranges();
    test_attributes();
    test_partly();
    return tap_done();
}
