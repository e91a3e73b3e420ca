/*
 * Guest payload library: parameters of a payload
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "guest.h"

#define POOL_SIZE 4096
#define MAX_VALUE 127

static char pool[POOL_SIZE];
static unsigned pool_used;

const char *param_str(const char *name, const char *fallback)
{
    char file[56];
    char *value = pool + pool_used;
    long size;

    snprintf(file, sizeof(file), "opt/guest/%s", name);
    if (pool_used + MAX_VALUE + 1 > POOL_SIZE) {
        panic("no room for parameter %s", name);
    }
    size = fwcfg_read_file(file, value, MAX_VALUE);
    if (size < 0) {
        return fallback;
    }
    if (size > MAX_VALUE) {
        panic("parameter %s is too long", name);
    }
    value[size] = '\0';
    pool_used += size + 1;
    return value;
}

static unsigned digit_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return 16;
}

static unsigned suffix_shift(char c)
{
    switch (c) {
    case 'K':
        return 10;
    case 'M':
        return 20;
    case 'G':
        return 30;
    case 'T':
        return 40;
    default:
        return 0;
    }
}

uint64_t param_u64(const char *name, uint64_t fallback)
{
    const char *text = param_str(name, NULL);
    const char *p = text;
    unsigned base = 10;
    unsigned shift;
    uint64_t value = 0;
    unsigned digits = 0;

    if (!text) {
        return fallback;
    }
    if (p[0] == '0' && p[1] == 'x') {
        base = 16;
        p += 2;
    }
    for (; digit_value(*p) < base; p++, digits++) {
        value = value * base + digit_value(*p);
    }
    shift = suffix_shift(*p);
    if (shift) {
        value <<= shift;
        p++;
    }
    if (!digits || *p) {
        panic("parameter %s: '%s' is not a number", name, text);
    }
    return value;
}
