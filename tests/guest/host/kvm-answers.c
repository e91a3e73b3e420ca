/*
 * KVM's answers when QEMU launches a TD, as a test wants them
 *
 * To be loaded before QEMU's libraries. The environment variable KVM_ANSWERS is
 *
 *   COMMAND ERROR COUNT
 *
 * and the first COUNT calls of this command fail with this number of an error.
 * What KVM does before it fails is done: for E2BIG it tells a size, and of a
 * region it has added the first page.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/kvm.h>

/* Older headers have nothing of TDX */
typedef struct TdxCommand {
    uint32_t id;
    uint32_t flags;
    uint64_t data;
    uint64_t hw_error;
} TdxCommand;

typedef struct TdxRegion {
    uint64_t source_addr;
    uint64_t gpa;
    uint64_t nr_pages;
} TdxRegion;

enum { INIT_MEM_REGION = 3, GET_CPUID = 5, EXIT_HYPERCALL, COMMANDS };

static const char *const names[COMMANDS] = {
    "capabilities", "init-vm", "init-vcpu", "init-mem-region", "finalize-vm",
    "get-cpuid", "exit-hypercall",
};

#define MORE_CPUID 300

typedef int Ioctl(int fd, unsigned long request, ...);

static int command(unsigned long request, const void *argument)
{
    if (request == KVM_MEMORY_ENCRYPT_OP) {
        return ((const TdxCommand *)argument)->id;
    }
    if (request == KVM_ENABLE_CAP &&
        ((const struct kvm_enable_cap *)argument)->cap ==
        KVM_CAP_EXIT_HYPERCALL) {
        return EXIT_HYPERCALL;
    }
    return -1;
}

/* Whether this call is one of those that are to fail, and with what */
static bool fails(int id, int *error)
{
    static int count = -1;
    const char *wanted = getenv("KVM_ANSWERS");
    char name[32];
    int first;

    if (!wanted || id < 0 || id >= COMMANDS ||
        sscanf(wanted, "%31s %d %d", name, error, &first) != 3 ||
        strcmp(name, names[id])) {
        return false;
    }
    if (count < 0) {
        count = first;
    }
    return __atomic_fetch_sub(&count, 1, __ATOMIC_RELAXED) > 0;
}

static void do_a_part(Ioctl *next, int fd, TdxCommand *cmd, int error)
{
    void *data = (void *)(uintptr_t)cmd->data;
    TdxRegion *region = data;
    struct kvm_cpuid2 *cpuid = data;

    if (cmd->id == GET_CPUID && error == E2BIG) {
        cpuid->nent = MORE_CPUID;
    } else if (cmd->id == INIT_MEM_REGION && region->nr_pages > 1) {
        uint64_t pages = region->nr_pages;

        region->nr_pages = 1;
        next(fd, KVM_MEMORY_ENCRYPT_OP, cmd);
        region->nr_pages += pages - 1;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    Ioctl *next = (Ioctl *)dlsym(RTLD_NEXT, "ioctl");
    int id, error;
    void *argument;
    va_list list;

    va_start(list, request);
    argument = va_arg(list, void *);
    va_end(list);
    id = command(request, argument);
    if (!fails(id, &error)) {
        return next(fd, request, argument);
    }
    if (id != EXIT_HYPERCALL) {
        do_a_part(next, fd, argument, error);
    }
    errno = error;
    return -1;
}
