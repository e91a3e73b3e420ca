/*
 * Guest payload: devices that most VMs have, with shared and private buffers
 *
 * Where a device is pointed at a private page, it prints "# step refused NAME"
 * and waits for a newline: the host knows when QEMU has refused the access.
 *
 * Parameters:
 *   what   network   ARP with the gateway of QEMU's user network, by virtio-net
 *          9p        a directory of the host, by virtio-9p
 *          tpm       random numbers of a TPM 2.0, by the FIFO interface
 *          screen    a framebuffer in RAM, by ramfb: it waits for a newline at
 *                    each "# step NAME"
 *   base   guest-physical address, default 16M
 *
 * The virtio devices must have their legacy interface.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "virtio.h"

#define BUFFERS 2               /* one that is read, one that is written */
#define STAMP 5
#define SIZE (BUFFERS * PAGE_SIZE + 2 * VIRTIO_QUEUE_SIZE)

static uint64_t base;

/* Buffers come first, then queues */
static uint64_t buffer(unsigned i)
{
    return base + i * PAGE_SIZE;
}

static uint64_t queue_memory(unsigned i)
{
    return base + BUFFERS * PAGE_SIZE + i * VIRTIO_QUEUE_SIZE;
}

static void to_state(unsigned i, bool to_private)
{
    tap_is(convert(buffer(i), PAGE_SIZE, to_private), 0, "buffer %u to %s", i,
           to_private ? "private" : "shared");
}

static void let_host_see_refusal(const char *what)
{
    tap_comment("step refused %s", what);
    guest_wait_for('\n');
}

static uint8_t at(unsigned i, unsigned offset)
{
    return gpa_read8(buffer(i) + offset);
}

/* A network device's frames come after a header */
#define NET_HEADER 10
#define ARP_OPERATION (NET_HEADER + 20)
#define ARP_SENDER_ADDRESS (NET_HEADER + 28)
#define ARP_REPLY 2

static const uint8_t arp_request[] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff,         /* to all */
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56,
    0x08, 0x06, 0, 1, 0x08, 0x00, 6, 4, 0, 1,   /* who has */
    0x52, 0x54, 0x00, 0x12, 0x34, 0x56, 10, 0, 2, 15,
    0, 0, 0, 0, 0, 0, 10, 0, 2, 2,
};

static VirtioQueue receive, transmit;

/* Ask who the gateway is; the device has a buffer for the answer */
static void ask(void)
{
    uint16_t ports = virtio_init(VIRTIO_PCI_NET);

    assert(ports);
    virtio_queue(&receive, ports, 0, queue_memory(0));
    virtio_queue(&transmit, ports, 1, queue_memory(1));
    virtio_ready(ports);
    memcpy(gpa_to_ptr(buffer(0)), arp_request, sizeof(arp_request));
    virtio_offer(&receive, 0, 0, buffer(1), PAGE_SIZE);
    virtio_offer(&transmit, buffer(0), sizeof(arp_request), 0, 0);
}

static void ask_and_hear(void)
{
    ask();
    while (!virtio_is_used(&receive)) {
        cpu_relax();
    }
    tap_is(at(1, ARP_OPERATION + 1), ARP_REPLY, "an answer");
    tap_ok(at(1, ARP_SENDER_ADDRESS) == 10 &&
           at(1, ARP_SENDER_ADDRESS + 3) == 2, "of the gateway");
}

static void test_network(void)
{
    ask_and_hear();

    to_state(0, true);
    ask();
    let_host_see_refusal("transmit");
    tap_ok(!virtio_is_used(&transmit), "a private frame is not sent");
    tap_is(memcmp(gpa_to_ptr(buffer(0)), arp_request, sizeof(arp_request)), 0,
           "and is as it was");
    to_state(0, false);
    ask_and_hear();

    to_state(1, true);
    page_stamp(buffer(1), STAMP);
    ask();
    let_host_see_refusal("receive");
    tap_ok(!virtio_is_used(&receive), "nothing is received to private memory");
    tap_ok(page_has(buffer(1), STAMP), "which is as it was");
    to_state(1, false);
    ask_and_hear();
}

/* Messages of 9P2000.L: size[4] type[1] tag[2] ... */
#define P9_TYPE 4
#define P9_RVERSION 101
#define P9_RATTACH 105

static const uint8_t p9_version[] = {
    21, 0, 0, 0, 100, 0xff, 0xff, 0, 0x10, 0, 0,
    8, 0, '9', 'P', '2', '0', '0', '0', '.', 'L',
};
static const uint8_t p9_attach[] = {
    23, 0, 0, 0, 104, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff,
    0, 0, 0, 0, 0, 0, 0, 0,                     /* no names, user 0 */
};

static VirtioQueue files;

static void p9_start(void)
{
    uint16_t ports = virtio_init(VIRTIO_PCI_9P);

    assert(ports);
    virtio_queue(&files, ports, 0, queue_memory(0));
    virtio_ready(ports);
}

static void p9_send(const uint8_t *message, uint32_t size)
{
    memcpy(gpa_to_ptr(buffer(0)), message, size);
    virtio_offer(&files, buffer(0), size, buffer(1), PAGE_SIZE);
}

static void p9_answer(const uint8_t *message, uint32_t size, uint8_t type)
{
    p9_send(message, size);
    while (!virtio_is_used(&files)) {
        cpu_relax();
    }
    tap_is(at(1, P9_TYPE), type, "answer to message %u", message[P9_TYPE]);
}

static void test_9p(void)
{
    static const char *const names[BUFFERS] = { "request", "answer" };
    unsigned i;

    for (i = 0; i <= BUFFERS; i++) {
        p9_start();
        p9_answer(p9_version, sizeof(p9_version), P9_RVERSION);
        p9_answer(p9_attach, sizeof(p9_attach), P9_RATTACH);
        if (i < BUFFERS) {
            to_state(i, true);
            page_stamp(buffer(i), STAMP);
            p9_start();
            p9_send(p9_version, sizeof(p9_version));
            let_host_see_refusal(names[i]);
            tap_ok(!virtio_is_used(&files), "no answer where the %s is private",
                   names[i]);
            tap_ok(!i || page_has(buffer(i), STAMP), "and none in the page");
            to_state(i, false);
        }
    }
}

/* TCG PC Client Platform TPM Profile: locality 0 of the FIFO interface */
#define TPM 0xfed40000
#define TPM_ACCESS (TPM + 0x00)
#define TPM_STATUS (TPM + 0x18)
#define TPM_FIFO (TPM + 0x24)
#define TPM_PPI (TPM + 0x5000)  /* less than a page of RAM */
#define TPM_REQUEST 0x02
#define TPM_ACTIVE 0x20
#define TPM_AVAILABLE 0x10
#define TPM_GO 0x20
#define TPM_COMMAND_READY 0x40
#define TPM_RANDOM 16           /* bytes */
#define TPM_HEADER 10

static const uint8_t tpm_startup[] = {
    0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0,
};
static const uint8_t tpm_get_random[] = {
    0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x7b, 0, TPM_RANDOM,
};

static void tpm_wait(uint64_t reg, uint8_t flag)
{
    while (!(gpa_read8(reg) & flag)) {
        cpu_relax();
    }
}

/* Returns how much the answer has, which is stored at @gpa */
static unsigned tpm_command(const uint8_t *command, unsigned size, uint64_t gpa)
{
    unsigned i;

    gpa_write8(TPM_STATUS, TPM_COMMAND_READY);
    tpm_wait(TPM_STATUS, TPM_COMMAND_READY);
    for (i = 0; i < size; i++) {
        gpa_write8(TPM_FIFO, command[i]);
    }
    gpa_write8(TPM_STATUS, TPM_GO);
    tpm_wait(TPM_STATUS, TPM_AVAILABLE);
    for (i = 0; gpa_read8(TPM_STATUS) & TPM_AVAILABLE; i++) {
        gpa_write8(gpa + i, gpa_read8(TPM_FIFO));
    }
    return i;
}

static void test_tpm(void)
{
    unsigned i, set = 0;

    gpa_write8(TPM_ACCESS, TPM_REQUEST);
    tpm_wait(TPM_ACCESS, TPM_ACTIVE);
    tap_is(tpm_command(tpm_startup, sizeof(tpm_startup), buffer(0)), TPM_HEADER,
           "answer to Startup");
    tap_is(at(0, TPM_HEADER - 1), 0, "success");

    to_state(0, true);
    tap_is(tpm_command(tpm_get_random, sizeof(tpm_get_random), buffer(0)),
           TPM_HEADER + 2 + TPM_RANDOM, "answer to GetRandom");
    tap_is(at(0, TPM_HEADER - 1), 0, "success");
    for (i = 0; i < TPM_RANDOM; i++) {
        set |= at(0, TPM_HEADER + 2 + i);
    }
    tap_ok(set, "random numbers in a private page");

    tap_is(convert(TPM, PAGE_SIZE, true), -KVM_EINVAL,
           "the TPM's registers cannot be private");
    tap_is(convert(TPM_PPI, PAGE_SIZE, true), -KVM_EINVAL,
           "nor can its memory for the firmware");
    tap_is(tpm_command(tpm_get_random, sizeof(tpm_get_random), buffer(0)),
           TPM_HEADER + 2 + TPM_RANDOM, "the TPM answers still");
}

/* What QEMU's ramfb takes; numbers are big endian */
typedef struct RamfbConfig {
    uint64_t address;
    uint32_t fourcc;
    uint32_t flags;
    uint32_t width;
    uint32_t height;
    uint32_t stride;
} __attribute__((packed)) RamfbConfig;

/* A page has 16 lines of 64 pixels */
#define SCREEN_PAGES 4
#define WIDTH 64
#define XR24 0x34325258
#define COLOUR 0x0000ff00

static void paint(unsigned page, uint32_t colour)
{
    unsigned i;

    for (i = 0; i < PAGE_SIZE; i += sizeof(uint64_t)) {
        gpa_write64(buffer(page) + i, (uint64_t)colour << 32 | colour);
    }
}

static void step(const char *name)
{
    tap_comment("step %s", name);
    guest_wait_for('\n');
}

static void test_screen(void)
{
    RamfbConfig config = {
        .address = __builtin_bswap64(base),
        .fourcc = __builtin_bswap32(XR24),
        .width = __builtin_bswap32(WIDTH),
        .height = __builtin_bswap32(SCREEN_PAGES * 16),
        .stride = __builtin_bswap32(WIDTH * 4),
    };
    unsigned i;

    for (i = 0; i < SCREEN_PAGES; i++) {
        paint(i, COLOUR);
    }
    /* So that no page of the program is used for the first time later */
    to_state(1, true);
    to_state(1, false);
    paint(1, COLOUR);
    tap_ok(fwcfg_write_file("etc/ramfb", &config, sizeof(config)),
           "there is a screen");
    step("shared");
    to_state(1, true);
    paint(1, COLOUR);
    step("private");
    to_state(1, false);
    paint(1, COLOUR);
    step("shared-again");
}

int main(void)
{
    static const struct {
        const char *name;
        void (*test)(void);
    } tests[] = {
        { "network", test_network },
        { "9p", test_9p },
        { "tpm", test_tpm },
        { "screen", test_screen },
    };
    const char *what = param_str("what", "");
    unsigned i;

    base = param_u64("base", 16 * MIB);
    assert(memory_is_usable(base, SIZE));
    if (!kvm_present()) {
        return tap_skip_all("not running on KVM");
    }
    let_devices_reach(base, SIZE);
    for (i = 0; i < sizeof(tests) / sizeof(tests[0]); i++) {
        if (!strcmp(what, tests[i].name)) {
            tests[i].test();
            return tap_done();
        }
    }
    panic("what=%s is not known", what);
}
