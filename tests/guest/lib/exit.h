/*
 * Guest payload library: ways to end
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_EXIT_H
#define GUEST_EXIT_H

/*
 * Exit statuses. QEMU's own exit code is (status << 1) | 1, which makes a
 * skipped test 77, as meson expects it.
 */
enum {
    GUEST_SUCCESS = 0,          /* QEMU exits with 1 */
    GUEST_FAILURE = 1,          /* 3 */
    GUEST_PANIC = 2,            /* 5 */
    GUEST_EXCEPTION = 3,        /* 7 */
    GUEST_SKIP = 38,            /* 77 */
};

/**
 * guest_exit: end QEMU
 *
 * Needs "-device isa-debug-exit,iobase=0xf4,iosize=4"; without it the calling
 * CPU halts for ever. Source: hw/misc/debugexit.c of QEMU.
 *
 * @status: 0 to 127; QEMU exits with (@status << 1) | 1
 */
void guest_exit(int status) __attribute__((noreturn));

/**
 * guest_reset: reset the machine through the reset control register
 *
 * RAM keeps its contents, but the payload starts anew, with its own data and
 * bss as at first. With -no-reboot QEMU exits with 0 instead.
 * Source: port 0xcf9 of the ICH9 and PIIX3 south bridges.
 */
void guest_reset(void) __attribute__((noreturn));

/**
 * guest_triple_fault: shut the CPU down by an exception without an IDT
 *
 * The machine resets, as after guest_reset(). Source: AMD64 Architecture
 * Programmer's Manual volume 2, "Shutdown"; KVM reports KVM_EXIT_SHUTDOWN.
 */
void guest_triple_fault(void) __attribute__((noreturn));

/**
 * panic: print a message as TAP "Bail out!" and exit with GUEST_PANIC
 *
 * @fmt: format, see printf()
 */
void panic(const char *fmt, ...)
    __attribute__((noreturn, format(printf, 1, 2)));

/* A condition that only a bug of the payload itself can make false */
#define assert(cond) \
    do { \
        if (!(cond)) { \
            panic("%s:%d: assertion failed: %s", __FILE__, __LINE__, #cond); \
        } \
    } while (0)

#endif /* GUEST_EXIT_H */
