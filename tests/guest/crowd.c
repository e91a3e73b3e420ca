/*
 * Guest payload: all CPUs touch a poisoned private page at the same time
 *
 * Waits for a newline at "# step before", so that the host can see which pages
 * are private before. Makes some pages private and uses them, prints
 * "# step poison" and waits for a newline, while the host poisons one of them. Then all CPUs read them, page by
 * page and in step, so that they meet the poisoned one together. What becomes of
 * the guest is up to machine checks, which are sent to all CPUs by each: it may
 * be reset. QEMU must not mind.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define BASE (16 * MIB)
#define SIZE (1 * MIB)

/* Bank 9, where QEMU injects memory errors */
#define MSR_MC9_STATUS (0x401 + 4 * 9)
#define MCI_STATUS_VALID (1ull << 63)

static unsigned arrived;

/* Go on after what only tells of another CPU's, which may come at any time */
static bool on_machine_check(ExceptionFrame *frame)
{
    if (rdmsr(MSR_MC9_STATUS) & MCI_STATUS_VALID) {
        wrmsr(MSR_MC9_STATUS, 0);
        return false;
    }
    return true;
}

static void read_page(void *gpa)
{
    gpa_read8((uint64_t)gpa);
}

static void read_pages(void *unused)
{
    uint64_t gpa;
    unsigned turn = 0;

    for (gpa = BASE; gpa < BASE + SIZE; gpa += PAGE_SIZE) {
        turn += cpu_count();
        __atomic_add_fetch(&arrived, 1, __ATOMIC_SEQ_CST);
        while (__atomic_load_n(&arrived, __ATOMIC_SEQ_CST) < turn) {
            cpu_relax();
        }
        fault_catch(read_page, (void *)gpa, NULL);
    }
}

int main(void)
{
    uint64_t gpa;

    assert(memory_is_usable(BASE, SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    tap_ok(smp_start() > 1, "several CPUs");
    exception_set_handler(VECTOR_MC, on_machine_check);
    tap_comment("step before");
    guest_wait_for('\n');
    tap_is(convert(BASE, SIZE, true), 0, "conversion");
    for (gpa = BASE; gpa < BASE + SIZE; gpa += PAGE_SIZE) {
        gpa_write8(gpa, 0x77);
    }
    tap_comment("step poison");
    guest_wait_for('\n');
    on_all_cpus(read_pages, NULL);
    return tap_done();
}
