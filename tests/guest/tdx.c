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
 *   quotes  "served" by somebody, "late" when the host is told to, or
 *           "unavailable"; only look at this
 *   end     "exit" (default); "fatal": report a fatal error; or "hole": read
 *           private memory where there can be none
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "apic.h"
#include "guest.h"
#include "mmio.h"
#include "pci.h"

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
#define QUOTE_ERROR 0x8000000000000000ULL
#define QUOTE_UNAVAILABLE 0x8000000000000001ULL
#define QUOTES 20

/* Devices of QEMU that are always there, and some of their registers */
#define IOAPIC_INDEX 0xfec00000
#define IOAPIC_WINDOW 0xfec00010
#define IOAPIC_ENTRY_HIGH 0x11  /* of the first interrupt: all bits are kept */
#define HPET 0xfed00000         /* its capabilities, which nobody can write */
#define PORT_PCI_ADDRESS 0xcf8
#define PORT_PCI_DATA 0xcfc
#define PCI_FIRST 0x80000000    /* device 0 and vendor */

#define MSR_MTRR_DEFAULT 0x2ff
#define MTRR_DEFAULT_UC 0xc00   /* enabled, uncacheable */
#define MSR_NONE 0x12345678
#define VECTOR_TIMER 0x50

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
                      to_private ? MAP_GPA_PRIVATE : MAP_GPA_SHARED,
                      0, 0 };

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

static uint64_t io(unsigned size, bool write, uint16_t port, uint32_t *value)
{
    Tdvmcall regs = { .r11 = TDVMCALL_IO, .r12 = size, .r13 = write,
                      .r14 = port, .r15 = *value };

    tdvmcall(&regs);
    *value = regs.r11;
    return regs.r10;
}

static uint64_t mmio(unsigned size, bool write, uint64_t gpa, uint64_t *value)
{
    Tdvmcall regs = { .r11 = TDVMCALL_MMIO, .r12 = size, .r13 = write,
                      .r14 = gpa, .r15 = *value };

    tdvmcall(&regs);
    *value = regs.r11;
    return regs.r10;
}

static uint64_t msr(uint32_t msr, bool write, uint64_t *value)
{
    Tdvmcall regs = { .r11 = write ? TDVMCALL_WRMSR : TDVMCALL_RDMSR,
                      .r12 = msr, .r13 = *value };

    tdvmcall(&regs);
    if (!write) {
        *value = regs.r11;
    }
    return regs.r10;
}

static void check_cpuid(void)
{
    Tdvmcall regs = { .r11 = TDVMCALL_CPUID, .r12 = 0, .r13 = 0 };
    CpuidResult here = cpuid(0, 0);

    tdvmcall(&regs);
    tap_ok(!regs.r10 && regs.r12 == here.eax && regs.r13 == here.ebx &&
           regs.r14 == here.ecx && regs.r15 == here.edx, "asked for: CPUID");
}

static void check_io(void)
{
    uint32_t value = PCI_FIRST, first;

    tap_is(io(4, true, PORT_PCI_ADDRESS, &value), 0, "asked for: OUT");
    tap_is(io(4, false, PORT_PCI_DATA, &first), 0, "asked for: IN");
    tap_is(first, pci_read32(0, 0), "which is what the device says");
    tap_is(io(2, false, PORT_PCI_DATA, &value), 0, "asked for: IN of 16 bits");
    tap_is(value, first & 0xffff, "which is a part of that");
    tap_is(io(3, false, PORT_PCI_DATA, &value), TDVMCALL_INVALID_OPERAND,
           "refused: IN of 24 bits");
}

static void check_msr(void)
{
    uint64_t value = rdmsr(MSR_MTRR_DEFAULT) ^ MTRR_DEFAULT_UC;
    uint64_t written = value;

    tap_is(msr(MSR_MTRR_DEFAULT, true, &value), 0, "asked for: WRMSR");
    tap_is(rdmsr(MSR_MTRR_DEFAULT), written, "which has done it");
    wrmsr(MSR_MTRR_DEFAULT, written ^ MTRR_DEFAULT_UC);
    tap_is(msr(MSR_MTRR_DEFAULT, false, &value), 0, "asked for: RDMSR");
    tap_is(value, written ^ MTRR_DEFAULT_UC, "which says the same");
    tap_is(msr(MSR_NONE, false, &value), TDVMCALL_INVALID_OPERAND,
           "refused: RDMSR of none");
    tap_is(msr(MSR_NONE, true, &value), TDVMCALL_INVALID_OPERAND,
           "refused: WRMSR of none");
}

static unsigned interrupts;

static bool count_interrupt(ExceptionFrame *frame)
{
    interrupts++;
    apic_end_of_interrupt();
    return true;
}

static void check_hlt(void)
{
    uint64_t failed = 0;

    exception_set_handler(VECTOR_TIMER, count_interrupt);
    apic_init_cpu();
    apic_start_timer(VECTOR_TIMER);
    while (!failed && !__atomic_load_n(&interrupts, __ATOMIC_RELAXED)) {
        failed = tdx_halt();
    }
    tap_is(failed, 0, "asked for: HLT");
}

static void check_mmio(void)
{
    const uint64_t shared_bit = tdx_shared_bit();
    uint64_t value = IOAPIC_ENTRY_HIGH, large = 0;

    tap_is(mmio(4, true, IOAPIC_INDEX | shared_bit, &value), 0,
           "asked for: a register is written");
    value = 0x5a000000;
    mmio(4, true, IOAPIC_WINDOW | shared_bit, &value);
    value = 0;
    tap_is(mmio(4, false, IOAPIC_WINDOW | shared_bit, &value), 0,
           "asked for: a register is read");
    tap_is(value, 0x5a000000, "which is what was written");
    tap_is(mmio(8, false, HPET | shared_bit, &large), 0, "and one of 64 bits");
    tap_is(mmio_read32(HPET), (uint32_t)large, "#VE: a register is read");
    mmio_write32(IOAPIC_INDEX, IOAPIC_ENTRY_HIGH);
    tap_is(mmio_read32(IOAPIC_WINDOW), 0x5a000000, "#VE: and written");
    tap_is(mmio(3, false, HPET | shared_bit, &value), TDVMCALL_INVALID_OPERAND,
           "refused: 24 bits");
    tap_is(mmio(4, false, HPET, &value), TDVMCALL_INVALID_OPERAND,
           "refused: a register in private memory");
}

static VeInfo ve_info;

/* Leave what the exception is about where it is */
static bool abandon(ExceptionFrame *frame)
{
    return false;
}

/* An exception in it comes before TDG.VP.VEINFO.GET */
static bool touch_again(ExceptionFrame *frame)
{
    gpa_read64(shared_address(HPET));
    return true;
}

static void read_hpet(void *unused)
{
    gpa_read64(shared_address(HPET));
}

static void write_hpet(void *unused)
{
    gpa_write64(shared_address(HPET), 0);
}

static void check_ve(void)
{
    tap_is(tdx_ve_info(&ve_info), TDX_NO_VE_INFO, "there was no #VE");

    exception_set_handler(VECTOR_VE, abandon);
    tap_is(fault_catch(read_hpet, NULL, NULL), VECTOR_VE, "#VE of a read");
    tap_is(tdx_ve_info(&ve_info), 0, "which has information");
    tap_ok(ve_info.exit_reason == VE_EPT_VIOLATION &&
           ve_info.qualification == VE_READ &&
           ve_info.gpa == (HPET | tdx_shared_bit()), "that says so");
    tap_is(tdx_ve_info(&ve_info), TDX_NO_VE_INFO, "once");
    tap_is(fault_catch(write_hpet, NULL, NULL), VECTOR_VE, "#VE of a write");
    tap_is(tdx_ve_info(&ve_info), 0, "which has information");
    tap_is(ve_info.qualification, VE_WRITE, "that says so");

    exception_set_handler(VECTOR_VE, touch_again);
    tap_is(fault_catch(read_hpet, NULL, NULL), VECTOR_DF,
           "#DF of one more before that");
    tap_is(tdx_ve_info(&ve_info), 0, "the first one's information is there");
    tdx_init();
}

static void check_fields(void)
{
    uint64_t value = 0, old;

    tap_is(tdx_vm_read(TDX_ATTRIBUTES, &value), 0, "fields: attributes");
    tap_is(value, 0, "there are none");
    tap_is(tdx_vm_read(TDX_TD_CTLS, &value), 0, "fields: TD_CTLS");
    tap_is(value, 0, "#VE of pending pages is on");
    value = 1;
    tap_is(tdx_vm_write(TDX_TD_CTLS, &value, 1), TDX_FIELD_ID_INCORRECT,
           "which the guest cannot change");
    old = 1;
    tap_is(tdx_vm_write(TDX_NOTIFY_ENABLES, &old, 1), 0, "fields: written");
    tap_is(old, 0, "it was 0");
    tap_is(tdx_vm_read(TDX_NOTIFY_ENABLES, &value), 0, "fields: read");
    tap_is(value, 1, "it is what was written");
}

static uint64_t start_quote(uint64_t report, uint32_t report_size)
{
    Tdvmcall regs = { .r11 = TDVMCALL_GET_QUOTE, .r12 = base | tdx_shared_bit(),
                      .r13 = 2 * PAGE_SIZE };
    uint64_t here = shared_address(base);

    gpa_write64(here, QUOTE_VERSION);
    gpa_write64(here + QUOTE_STATUS, 0);
    gpa_write64(here + QUOTE_SIZES, report_size);
    gpa_write64(here + QUOTE_DATA, report);
    tdvmcall(&regs);
    return regs.r10;
}

/* Afterwards it is known how it went */
static uint64_t wait_for_quote(void)
{
    uint64_t status;

    do {
        cpu_relax();
        status = gpa_read64(shared_address(base + QUOTE_STATUS));
    } while (status == QUOTE_IN_FLIGHT);
    return status;
}

static uint64_t ask_for_quote(uint64_t report, uint32_t report_size)
{
    uint64_t ret = start_quote(report, report_size);

    if (!ret) {
        wait_for_quote();
    }
    return ret;
}

/* A buffer that is private by the time of the answer, all of it or in part */
static void check_late_quotes(void)
{
    const uint64_t second = base + PAGE_SIZE;

    tap_is(convert(base, 2 * PAGE_SIZE, false), 0, "the buffer is shared");
    tap_is(start_quote(0, sizeof(uint64_t)), 0, "asked");
    tap_is(convert(base, 2 * PAGE_SIZE, true), 0, "the buffer is private");
    page_stamp(base, PRIVATE_STAMP);
    tap_comment("step private");
    guest_wait_for('\n');
    tap_ok(page_has(base, PRIVATE_STAMP), "it keeps contents");
    tap_is(convert(base, 2 * PAGE_SIZE, false), 0, "it is shared");
    tap_ok(page_is_zero(shared_address(base)) &&
           page_is_zero(shared_address(second)), "nothing was stored");

    tap_is(start_quote(0, sizeof(uint64_t)), 0, "asked again");
    tap_is(convert(second, PAGE_SIZE, true), 0, "a part of it is private");
    tap_comment("step part");
    tap_is(wait_for_quote(), QUOTE_ERROR, "there is no quote");
    tap_is(convert(second, PAGE_SIZE, false), 0, "it is shared");
    tap_ok(page_is_zero(shared_address(second)), "nothing was stored there");
}

/* A message of the service that has no room for a quote */
static void check_short_quote(void)
{
    tap_is(convert(base, 2 * PAGE_SIZE, false), 0, "the buffer is shared");
    tap_is(ask_for_quote(0, 8), 0, "a quote is asked for");
    tap_is(gpa_read64(shared_address(base + QUOTE_STATUS)), QUOTE_ERROR,
           "there is none");
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

/* virtio 1.2, 4.1.4.3 "Common configuration structure layout" */
#define VIRTIO_RNG 0x10441af4
#define VIRTIO_CONFIG 0xe0000000ULL
#define VIRTIO_FEATURES_OK (1 | 2 | 8)
#define VIRTIO_DRIVER_OK (VIRTIO_FEATURES_OK | 4)

/* Have KVM know the doorbells of a virtio device */
static void check_virtio(void)
{
    unsigned devfn = 0;

    while (devfn < 256 && pci_read32(devfn, 0) != VIRTIO_RNG) {
        devfn++;
    }
    if (tap_ok(devfn < 256, "there is a device")) {
        const uint64_t config = VIRTIO_CONFIG | tdx_shared_bit();
        uint64_t value = VIRTIO_FEATURES_OK;

        pci_write32(devfn, 0x20, VIRTIO_CONFIG);
        pci_write32(devfn, 0x24, 0);
        pci_write32(devfn, 4, 2);
        /* VERSION_1 and ACCESS_PLATFORM */
        mmio_write32(VIRTIO_CONFIG + 8, 1);
        mmio_write32(VIRTIO_CONFIG + 12, 3);
        mmio(1, true, config + 20, &value);
        value = VIRTIO_DRIVER_OK;
        mmio(1, true, config + 20, &value);
        value = 0;
        mmio(1, false, config + 20, &value);
        tap_is(value, VIRTIO_DRIVER_OK, "it runs");
    }
}

int main(void)
{
    Tdvmcall fatal = { 0, TDVMCALL_FATAL_ERROR, FATAL_ERROR, HOLE, 0, 0 };

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
        if (!strcmp(param_str("quotes", ""), "late")) {
            check_late_quotes();
        } else if (!strcmp(param_str("quotes", ""), "short")) {
            check_short_quote();
        } else {
            check_quotes(!strcmp(param_str("quotes", ""), "served"));
        }
        return tap_done();
    }
    if (param_u64("virtio", 0)) {
        check_virtio();
    }
    if (!strcmp(param_str("end", "exit"), "unprintable")) {
        fatal.r14 = 0x8080808080808080;
        tdvmcall(&fatal);
        panic("the guest goes on after its end");
    }
    check_contents();
    check_accept();
    check_refusals();
    check_hypercall();
    check_access();
    check_pam();
    check_info();
    check_cpuid();
    check_io();
    check_msr();
    check_hlt();
    check_mmio();
    check_ve();
    check_fields();
    if (smp_start() > 1) {
        on_all_cpus(convert_own_pages, NULL);
        tap_is(wrong, 0, "%u CPUs: wrong pages", cpu_count());
    }
    if (!strcmp(param_str("end", "exit"), "fatal")) {
        tap_done();
        tdvmcall(&fatal);
        panic("the guest goes on after its end");
    }
    if (!strcmp(param_str("end", "exit"), "hole")) {
        tap_done();
        gpa_read64(HOLE);
        panic("there is private memory in a hole");
    }
    return tap_done();
}
