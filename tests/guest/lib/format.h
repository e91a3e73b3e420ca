/*
 * Guest payload library: what printf() and snprintf() have in common
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_FORMAT_H
#define GUEST_FORMAT_H

#include <stdarg.h>

typedef void FormatSink(void *opaque, char c);

/**
 * format: format text, character by character
 *
 * @sink: called for each character, with @opaque
 * @opaque: first argument of @sink
 * @fmt: format, see printf()
 * @ap: the arguments
 */
void format(FormatSink *sink, void *opaque, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

#endif /* GUEST_FORMAT_H */
