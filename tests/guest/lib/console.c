/*
 * Guest payload library: serial console on COM1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "format.h"

#define COM1 0x3f8
#define UART_DATA (COM1 + 0)
#define UART_FCR (COM1 + 2)
#define UART_LCR (COM1 + 3)
#define UART_LSR (COM1 + 5)
#define FCR_ENABLE 0x01
#define LCR_8N1 0x03
#define LSR_DATA_READY 0x01
#define LSR_THR_EMPTY 0x20
#define FIFO_SIZE 16

#define NO_OWNER (-1)

static Spinlock lock;
static int lock_owner = NO_OWNER;
static unsigned lock_depth;

/*
 * A CPU that panics or takes an exception while it prints must be able to
 * print, so the lock nests.
 */
void console_lock(void)
{
    int self = cpu_index();

    if (__atomic_load_n(&lock_owner, __ATOMIC_RELAXED) != self) {
        spin_lock(&lock);
        __atomic_store_n(&lock_owner, self, __ATOMIC_RELAXED);
    }
    lock_depth++;
}

void console_unlock(void)
{
    lock_depth--;
    if (!lock_depth) {
        __atomic_store_n(&lock_owner, NO_OWNER, __ATOMIC_RELAXED);
        spin_unlock(&lock);
    }
}

void console_init(void)
{
    outb(UART_LCR, LCR_8N1);
    outb(UART_FCR, FCR_ENABLE);
}

/* Every port access is an exit, so look at the status once per FIFO only */
static void uart_putc(char c)
{
    static unsigned room;

    if (!room) {
        while (!(inb(UART_LSR) & LSR_THR_EMPTY)) {
            cpu_relax();
        }
        room = FIFO_SIZE;
    }
    outb(UART_DATA, c);
    room--;
}

bool console_has_input(void)
{
    return inb(UART_LSR) & LSR_DATA_READY;
}

char console_getc(void)
{
    while (!console_has_input()) {
        cpu_relax();
    }
    return inb(UART_DATA);
}

void guest_wait_for(char c)
{
    while (console_getc() != c) {
        /* drop it */
    }
}

static void console_sink(void *opaque, char c)
{
    int *count = opaque;

    uart_putc(c);
    (*count)++;
}

int vprintf(const char *fmt, va_list ap)
{
    int count = 0;

    console_lock();
    format(console_sink, &count, fmt, ap);
    console_unlock();
    return count;
}

int printf(const char *fmt, ...)
{
    va_list ap;
    int count;

    va_start(ap, fmt);
    count = vprintf(fmt, ap);
    va_end(ap);
    return count;
}

int puts(const char *s)
{
    return printf("%s\n", s);
}
