/*
 * Guest payload library: serial console on COM1
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_CONSOLE_H
#define GUEST_CONSOLE_H

#include <stdarg.h>
#include <stddef.h>

/* Called once before main() */
void console_init(void);

/**
 * console_lock: keep other CPUs from writing to the console
 *
 * Calls nest. printf() takes the lock by itself; use this around several calls
 * whose output belongs together.
 */
void console_lock(void);

/* console_unlock: undo one console_lock() */
void console_unlock(void);

/* console_has_input: whether console_getc() would return at once */
bool console_has_input(void);

/**
 * console_getc: wait for a byte from the host
 *
 * Returns: the byte. It polls, so the CPU is busy while it waits.
 */
char console_getc(void);

/**
 * guest_wait_for: wait until the host has sent a certain character
 *
 * Everything that comes before it is dropped.
 *
 * @c: the character
 */
void guest_wait_for(char c);

/* puts: write a string and a newline */
int puts(const char *s);

/**
 * printf: write formatted text
 *
 * Knows %c %s %d %i %u %x %p %%, length modifiers l, ll and z, a width, and the
 * flags '0' (pad numbers with zeros) and '-' (pad to the right). %p prints 0x
 * and hexadecimal digits.
 *
 * @fmt: format
 *
 * Returns: the number of characters written.
 */
int printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* vprintf: printf() with a variable argument list */
int vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));

/**
 * snprintf: format text into a buffer
 *
 * @buf: where to; always terminated unless @size is 0
 * @size: size of @buf in bytes
 * @fmt: format, see printf()
 *
 * Returns: the number of characters that a large enough buffer would have got,
 * without the terminator.
 */
int snprintf(char *buf, size_t size, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

#endif /* GUEST_CONSOLE_H */
