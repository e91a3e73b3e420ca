/*
 * Guest payload library: results in the Test Anything Protocol
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

static unsigned tests;
static unsigned failures;

/* Counters are protected by the console lock, which keeps lines in order too */
static void report(bool cond, const char *fmt, va_list ap)
{
    tests++;
    if (!cond) {
        failures++;
    }
    printf("%s %u - ", cond ? "ok" : "not ok", tests);
    vprintf(fmt, ap);
}

bool tap_ok(bool cond, const char *fmt, ...)
{
    va_list ap;

    console_lock();
    va_start(ap, fmt);
    report(cond, fmt, ap);
    va_end(ap);
    printf("\n");
    console_unlock();
    return cond;
}

bool tap_is(long got, long expected, const char *fmt, ...)
{
    bool equal = got == expected;
    va_list ap;

    console_lock();
    va_start(ap, fmt);
    report(equal, fmt, ap);
    va_end(ap);
    printf("\n");
    if (!equal) {
        printf("#   got %ld (0x%lx), expected %ld (0x%lx)\n",
               got, got, expected, expected);
    }
    console_unlock();
    return equal;
}

void tap_skip(const char *fmt, ...)
{
    va_list ap;

    console_lock();
    tests++;
    printf("ok %u # SKIP ", tests);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    console_unlock();
}

void tap_comment(const char *fmt, ...)
{
    va_list ap;

    console_lock();
    printf("# ");
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf("\n");
    console_unlock();
}

int tap_done(void)
{
    printf("1..%u\n", tests);
    return tests && !failures ? GUEST_SUCCESS : GUEST_FAILURE;
}

int tap_skip_all(const char *reason)
{
    printf("1..0 # SKIP %s\n", reason);
    return GUEST_SKIP;
}
