/*
 * Guest payload library: what an SEV-SNP guest asks its hypervisor for
 *
 * The Guest-Hypervisor Communication Block, and the protocol that works by its
 * MSR alone. KVM of the test kernel (kvm_amd.soft_snp=1) serves them as that of
 * a CPU with SEV-SNP would; there is no #VC, and PVALIDATE is not needed.
 *
 * Source: "SEV-ES Guest-Hypervisor Communication Block Standardization", AMD
 * publication 56421.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_GHCB_H
#define GUEST_GHCB_H

#include <stdbool.h>
#include <stdint.h>

#define MSR_GHCB 0xc0010130
#define MSR_SEV_STATUS 0xc0010131
#define SEV_STATUS_SNP 7        /* SEV, SEV-ES and SEV-SNP are enabled */

/* One request's worth of entries fits into the GHCB page */
#define GHCB_PSC_MAX 253

typedef struct PageState {
    uint64_t gpa;
    bool is_large;              /* 2 MiB instead of 4 KiB */
    bool to_private;
} PageState;

/* snp_present: whether QEMU launched this as an SEV-SNP guest */
bool snp_present(void);

/* ghcb_msr: write the GHCB MSR, exit, and return what is in it then */
uint64_t ghcb_msr(uint64_t request);

/**
 * ghcb_msr_convert: change the state of one page, by the MSR alone
 *
 * @gpa: guest-physical address of the page
 * @to_private: its new state
 *
 * Returns: 0, or the error that the hypervisor gives.
 */
uint32_t ghcb_msr_convert(uint64_t gpa, bool to_private);

/**
 * ghcb_convert: change the state of many pages, with one exit
 *
 * @entries: what to change
 * @count: how many, up to GHCB_PSC_MAX
 * @done: set to the number of entries that were changed
 *
 * Returns: 0, or the error that the hypervisor gives.
 */
uint64_t ghcb_convert(const PageState *entries, unsigned count,
                      unsigned *done);

/**
 * ghcb_convert_range: change the state of a range, 2 MiB at a time where they fit
 *
 * @gpa: guest-physical address, page-aligned
 * @size: bytes, page-aligned
 * @to_private: its new state
 *
 * Returns: 0, or the error that the hypervisor gives; part of the range may have
 * been changed then.
 */
uint64_t ghcb_convert_range(uint64_t gpa, uint64_t size, bool to_private);

/**
 * ghcb_request: ask for anything else
 *
 * @code: the exit's code
 * @info1: first information
 * @info2: second information
 *
 * Returns: the second information of the answer.
 */
uint64_t ghcb_request(uint64_t code, uint64_t info1, uint64_t info2);

#define GHCB_EXIT_PSC 0x80000010
#define GHCB_EXIT_GUEST_REQUEST 0x80000011
#define GHCB_EXIT_FEATURES 0x8000fffd
#define GHCB_EXIT_TERMINATE 0x8000fffe

/* ghcb_terminate: end the guest, by the MSR alone; QEMU sees a SEV_TERM */
void ghcb_terminate(uint8_t set, uint8_t reason) __attribute__((noreturn));

#endif /* GUEST_GHCB_H */
