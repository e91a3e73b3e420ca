/*
 * Guest payload library: what printf() and snprintf() have in common
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"
#include "format.h"

/* One conversion specification */
typedef struct FormatSpec {
    bool left;
    bool zero;
    bool is_long;
    int width;
} FormatSpec;

/* "-42" is the sign, or any other prefix, and the digits */
static void emit(FormatSink *sink, void *opaque, const FormatSpec *spec,
                 const char *prefix, const char *text)
{
    int pad = spec->width - (int)(strlen(prefix) + strlen(text));
    bool zero = spec->zero && !spec->left;

    for (; !zero && !spec->left && pad > 0; pad--) {
        sink(opaque, ' ');
    }
    while (*prefix) {
        sink(opaque, *prefix++);
    }
    for (; zero && pad > 0; pad--) {
        sink(opaque, '0');
    }
    while (*text) {
        sink(opaque, *text++);
    }
    for (; pad > 0; pad--) {
        sink(opaque, ' ');
    }
}

static void emit_number(FormatSink *sink, void *opaque, const FormatSpec *spec,
                        const char *prefix, uint64_t value, unsigned base)
{
    char digits[21];
    char *p = digits + sizeof(digits);

    *--p = '\0';
    do {
        *--p = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    emit(sink, opaque, spec, prefix, p);
}

static const char *parse_spec(FormatSpec *spec, const char *fmt)
{
    *spec = (FormatSpec) { };
    for (; *fmt == '0' || *fmt == '-'; fmt++) {
        if (*fmt == '0') {
            spec->zero = true;
        } else {
            spec->left = true;
        }
    }
    for (; *fmt >= '0' && *fmt <= '9'; fmt++) {
        spec->width = spec->width * 10 + *fmt - '0';
    }
    /* long, long long and size_t are all 64 bits wide here */
    for (; *fmt == 'l' || *fmt == 'z'; fmt++) {
        spec->is_long = true;
    }
    return fmt;
}

void format(FormatSink *sink, void *opaque, const char *fmt, va_list ap)
{
    for (; *fmt; fmt++) {
        FormatSpec spec;
        const char *string;
        char character[2] = "";
        int64_t number;
        uint64_t magnitude;

        if (*fmt != '%') {
            sink(opaque, *fmt);
            continue;
        }
        fmt = parse_spec(&spec, fmt + 1);
        switch (*fmt) {
        case 'c':
            character[0] = va_arg(ap, int);
            spec.zero = false;
            emit(sink, opaque, &spec, "", character);
            break;
        case 's':
            string = va_arg(ap, const char *);
            spec.zero = false;
            emit(sink, opaque, &spec, "", string ? string : "(null)");
            break;
        case 'd':
        case 'i':
            number = spec.is_long ? va_arg(ap, int64_t) : va_arg(ap, int);
            magnitude = number < 0 ? -(uint64_t)number : (uint64_t)number;
            emit_number(sink, opaque, &spec, number < 0 ? "-" : "",
                        magnitude, 10);
            break;
        case 'u':
        case 'x':
            number = spec.is_long ? va_arg(ap, int64_t)
                                  : va_arg(ap, unsigned);
            emit_number(sink, opaque, &spec, "", number,
                        *fmt == 'x' ? 16 : 10);
            break;
        case 'p':
            number = (uintptr_t)va_arg(ap, void *);
            emit_number(sink, opaque, &spec, "0x", number, 16);
            break;
        case '%':
            sink(opaque, '%');
            break;
        default:
            panic("printf: unknown conversion '%c'", *fmt);
        }
    }
}

typedef struct Buffer {
    char *data;
    size_t size;
    size_t length;
} Buffer;

static void buffer_sink(void *opaque, char c)
{
    Buffer *buffer = opaque;

    if (buffer->length + 1 < buffer->size) {
        buffer->data[buffer->length] = c;
    }
    buffer->length++;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    Buffer buffer = { .data = buf, .size = size };
    va_list ap;

    va_start(ap, fmt);
    format(buffer_sink, &buffer, fmt, ap);
    va_end(ap);
    if (size) {
        buf[buffer.length < size ? buffer.length : size - 1] = '\0';
    }
    return buffer.length;
}
