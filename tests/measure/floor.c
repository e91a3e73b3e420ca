/*
 * The least that a conversion can cost in userspace
 *
 * Runs the guest payload "bench" in a software-protected VM, as QEMU does, and
 * answers KVM_HC_MAP_GPA_RANGE with nothing but the two system calls that it
 * takes: set the attributes, free the half that is left. It keeps no books,
 * checks nothing and has no devices but those that the payload looks at.
 *
 * usage: floor PAYLOAD MEBIBYTES CPUS
 *
 * What the payload prints goes to standard output, and the exit status is what
 * QEMU's isa-debug-exit makes of the payload's.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#define _GNU_SOURCE
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* For headers older than Linux 6.8; source: include/uapi/linux/kvm.h */
#ifndef KVM_SET_MEMORY_ATTRIBUTES
#define KVM_MEM_GUEST_MEMFD (1UL << 2)
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)

struct kvm_userspace_memory_region2 {
    __u32 slot;
    __u32 flags;
    __u64 guest_phys_addr;
    __u64 memory_size;
    __u64 userspace_addr;
    __u64 guest_memfd_offset;
    __u32 guest_memfd;
    __u32 pad1;
    __u64 pad2[14];
};

struct kvm_memory_attributes {
    __u64 address;
    __u64 size;
    __u64 attributes;
    __u64 flags;
};

struct kvm_create_guest_memfd {
    __u64 size;
    __u64 flags;
    __u64 reserved[6];
};

#define KVM_SET_USER_MEMORY_REGION2 \
    _IOW(KVMIO, 0x49, struct kvm_userspace_memory_region2)
#define KVM_SET_MEMORY_ATTRIBUTES \
    _IOW(KVMIO, 0xd2, struct kvm_memory_attributes)
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct kvm_create_guest_memfd)
#endif
#ifndef KVM_X86_SW_PROTECTED_VM
#define KVM_X86_SW_PROTECTED_VM 1
#endif

#define KIB (1ULL << 10)
#define MIB (1ULL << 20)
#define GIB (1ULL << 30)
#define PAGE_SIZE (4 * KIB)

/* As the q35 machine: RAM above goes on at 4 GiB */
#define LOW_RAM_LIMIT (2 * GIB)
#define HIGH_RAM_BASE (4 * GIB)

#define HC_MAP_GPA_RANGE 12
#define MAP_GPA_PRIVATE (1 << 4)

#define PORT_DEBUG_EXIT 0xf4
#define PORT_UART_DATA 0x3f8
#define PORT_UART_LSR 0x3fd
#define LSR_THR_EMPTY 0x20
#define PORT_FWCFG_SELECTOR 0x510
#define PORT_FWCFG_DATA 0x511

#define FWCFG_RAM_SIZE 0x03
#define FWCFG_CPU_COUNT 0x05
#define FWCFG_DIRECTORY 0x19
#define FWCFG_E820 0x20
#define FWCFG_ITEMS 0x21

#define CPUID_FEATURES 1
#define CPUID_ECX_HYPERVISOR (1u << 31)
#define MAX_CPUID 256

#define TRY(call) ({ \
    long ret_ = (long)(call); \
    if (ret_ == -1) { \
        err(1, "%s", #call); \
    } \
    ret_; \
})

static int vm, guest_memfd, run_size;
static uint8_t *shared;         /* the shared half of RAM */
static uint64_t low_ram, high_ram;

/* fw_cfg by key */
static struct {
    const void *data;
    size_t size;
} items[FWCFG_ITEMS];

static void add_item(unsigned key, const void *data, size_t size)
{
    items[key].data = data;
    items[key].size = size;
}

/* The only item that is a file is the map of RAM */
static void add_e820(const void *data, size_t size)
{
    static struct {
        uint32_t count;         /* big endian, as all numbers here */
        uint32_t size;
        uint16_t key;
        uint16_t reserved;
        char name[56];
    } directory = { .name = "etc/e820" };

    directory.count = htobe32(1);
    directory.size = htobe32(size);
    directory.key = htobe16(FWCFG_E820);
    add_item(FWCFG_DIRECTORY, &directory, sizeof(directory));
    add_item(FWCFG_E820, data, size);
}

static void set_slot(unsigned slot, uint64_t gpa, uint64_t size, void *host,
                     uint64_t offset, bool has_private)
{
    struct kvm_userspace_memory_region2 region = {
        .slot = slot,
        .flags = has_private ? KVM_MEM_GUEST_MEMFD : 0,
        .guest_phys_addr = gpa,
        .memory_size = size,
        .userspace_addr = (uintptr_t)host,
        .guest_memfd_offset = offset,
        .guest_memfd = has_private ? guest_memfd : 0,
    };

    TRY(ioctl(vm, KVM_SET_USER_MEMORY_REGION2, &region));
}

/* Aligned and with huge pages, as QEMU has it; nothing is reserved */
static void *map_anonymous(uint64_t size)
{
    uint8_t *p = mmap(NULL, size + 2 * MIB, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    TRY((intptr_t)p);
    p += -(uintptr_t)p % (2 * MIB);
    madvise(p, size, MADV_HUGEPAGE);    /* a kernel may well be without */
    return p;
}

static void add_ram(uint64_t size)
{
    static struct {
        uint64_t base, size;
        uint32_t type;
    } __attribute__((packed)) e820[2] = {
        { .type = 1 }, { .base = HIGH_RAM_BASE, .type = 1 },
    };
    static uint64_t ram_size;
    struct kvm_create_guest_memfd create = { .size = size };

    ram_size = size;
    low_ram = size < LOW_RAM_LIMIT ? size : LOW_RAM_LIMIT;
    high_ram = size - low_ram;
    shared = map_anonymous(size);
    guest_memfd = TRY(ioctl(vm, KVM_CREATE_GUEST_MEMFD, &create));
    set_slot(0, 0, low_ram, shared, 0, true);
    if (high_ram) {
        set_slot(1, HIGH_RAM_BASE, high_ram, shared + low_ram, low_ram, true);
    }
    e820[0].size = low_ram;
    e820[1].size = high_ram;
    add_e820(e820, sizeof(e820[0]) * (high_ram ? 2 : 1));
    add_item(FWCFG_RAM_SIZE, &ram_size, sizeof(ram_size));
}

static void add_rom(const char *path)
{
    int fd = TRY(open(path, O_RDONLY));
    off_t size = TRY(lseek(fd, 0, SEEK_END));
    void *rom = map_anonymous(size);

    if (pread(fd, rom, size, 0) != size) {
        err(1, "%s", path);
    }
    close(fd);
    set_slot(2, 4 * GIB - size, size, rom, 0, false);
}

/* This is what is measured */
static long convert(uint64_t gpa, uint64_t size, bool to_private)
{
    struct kvm_memory_attributes attributes = {
        .address = gpa,
        .size = size,
        .attributes = to_private ? KVM_MEMORY_ATTRIBUTE_PRIVATE : 0,
    };
    uint64_t offset = gpa < HIGH_RAM_BASE ? gpa
                                          : gpa - HIGH_RAM_BASE + low_ram;

    if (ioctl(vm, KVM_SET_MEMORY_ATTRIBUTES, &attributes)) {
        return -errno;
    }
    if (to_private ? madvise(shared + offset, size, MADV_DONTNEED)
                   : fallocate(guest_memfd, FALLOC_FL_PUNCH_HOLE |
                               FALLOC_FL_KEEP_SIZE, offset, size)) {
        return -errno;
    }
    return 0;
}

static void port_out(uint16_t port, uint16_t value, unsigned *key,
                     size_t *position)
{
    switch (port) {
    case PORT_UART_DATA:
        putchar(value & 0xff);
        break;
    case PORT_FWCFG_SELECTOR:
        *key = value;
        *position = 0;
        break;
    case PORT_DEBUG_EXIT:
        fflush(stdout);
        _exit((value & 0x7f) << 1 | 1);
    }
}

static uint8_t port_in(uint16_t port, unsigned key, size_t *position)
{
    if (port == PORT_UART_LSR) {
        return LSR_THR_EMPTY;
    }
    if (port == PORT_FWCFG_DATA && key < FWCFG_ITEMS &&
        *position < items[key].size) {
        return ((const uint8_t *)items[key].data)[(*position)++];
    }
    return 0;
}

/* Only CPU 0 of the payload uses ports */
static void handle_io(struct kvm_run *run)
{
    static unsigned key;
    static size_t position;
    uint8_t *data = (uint8_t *)run + run->io.data_offset;

    if (run->io.direction == KVM_EXIT_IO_OUT) {
        port_out(run->io.port, run->io.size == 2 ? data[0] | data[1] << 8
                                                 : data[0], &key, &position);
    } else {
        memset(data, 0, run->io.size);
        *data = port_in(run->io.port, key, &position);
    }
}

static void *run_vcpu(void *opaque)
{
    int vcpu = (intptr_t)opaque;
    struct kvm_run *run = mmap(NULL, run_size, PROT_READ | PROT_WRITE,
                               MAP_SHARED, vcpu, 0);

    TRY((intptr_t)run);
    for (;;) {
        if (ioctl(vcpu, KVM_RUN, 0) && errno != EINTR && errno != EAGAIN) {
            err(1, "KVM_RUN, exit reason %u", run->exit_reason);
        }
        switch (run->exit_reason) {
        case KVM_EXIT_IO:
            handle_io(run);
            break;
        case KVM_EXIT_HYPERCALL:
            run->hypercall.ret = convert(run->hypercall.args[0],
                                         run->hypercall.args[1] * PAGE_SIZE,
                                         run->hypercall.args[2] &
                                         MAP_GPA_PRIVATE);
            break;
        case KVM_EXIT_INTR:
        case KVM_EXIT_UNKNOWN:  /* an interrupted KVM_RUN */
            break;
        default:
            errx(1, "exit reason %u", run->exit_reason);
        }
    }
}

static int add_vcpu(int kvm, unsigned index)
{
    int vcpu = TRY(ioctl(vm, KVM_CREATE_VCPU, index));
    static struct {
        struct kvm_cpuid2 head;
        struct kvm_cpuid_entry2 entries[MAX_CPUID];
    } cpuid;
    unsigned i;

    cpuid.head.nent = MAX_CPUID;
    TRY(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid));
    for (i = 0; i < cpuid.head.nent; i++) {
        if (cpuid.entries[i].function == CPUID_FEATURES) {
            cpuid.entries[i].ecx |= CPUID_ECX_HYPERVISOR;
        }
    }
    TRY(ioctl(vcpu, KVM_SET_CPUID2, &cpuid));
    return vcpu;
}

int main(int argc, char **argv)
{
    struct kvm_enable_cap cap = {
        .cap = KVM_CAP_EXIT_HYPERCALL,
        .args = { 1 << HC_MAP_GPA_RANGE },
    };
    static uint16_t cpus;
    pthread_t thread;
    int *vcpus;
    int i, kvm;

    if (argc != 4) {
        fprintf(stderr, "usage: floor PAYLOAD MEBIBYTES CPUS\n"
                "Run a guest payload with the least that it takes.\n");
        return argc == 2 && !strcmp(argv[1], "--help") ? 0 : 2;
    }
    kvm = TRY(open("/dev/kvm", O_RDWR));
    vm = TRY(ioctl(kvm, KVM_CREATE_VM, KVM_X86_SW_PROTECTED_VM));
    run_size = TRY(ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0));
    TRY(ioctl(vm, KVM_ENABLE_CAP, &cap));
    TRY(ioctl(vm, KVM_CREATE_IRQCHIP, 0));

    add_rom(argv[1]);
    add_ram(strtoull(argv[2], NULL, 0) * MIB);
    cpus = strtoul(argv[3], NULL, 0);
    add_item(FWCFG_CPU_COUNT, &cpus, sizeof(cpus));

    /* All of them exist before the first one looks for others */
    vcpus = calloc(cpus, sizeof(*vcpus));
    for (i = 0; i < cpus; i++) {
        vcpus[i] = add_vcpu(kvm, i);
    }
    printf("# tsc khz=%ld\n", TRY(ioctl(vcpus[0], KVM_GET_TSC_KHZ, 0)));
    for (i = 0; i < cpus; i++) {
        pthread_create(&thread, NULL, run_vcpu, (void *)(intptr_t)vcpus[i]);
    }
    pthread_exit(NULL);
}
