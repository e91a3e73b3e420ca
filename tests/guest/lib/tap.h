/*
 * Guest payload library: results in the Test Anything Protocol
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef GUEST_TAP_H
#define GUEST_TAP_H

#include <stdbool.h>

/**
 * tap_ok: report one result; any CPU may call it
 *
 * @cond: whether the test passed
 * @fmt: what was tested, see printf()
 *
 * Returns: @cond.
 */
bool tap_ok(bool cond, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/**
 * tap_is: report whether a number is the expected one, and print both if not
 *
 * @got: what the tested code returned
 * @expected: what it should have returned
 * @fmt: what was tested, see printf()
 *
 * Returns: whether they are equal.
 */
bool tap_is(long got, long expected, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/**
 * tap_skip: report one test that could not be done
 *
 * @fmt: what would have been tested, and why it was not; see printf()
 */
void tap_skip(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * tap_comment: print a line that parsers of the results ignore
 *
 * @fmt: the line without "# " and newline, see printf()
 */
void tap_comment(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/**
 * tap_done: print the plan
 *
 * Returns: the exit status for main(): GUEST_SUCCESS if there was at least one
 * result and none was "not ok", else GUEST_FAILURE.
 */
int tap_done(void);

/**
 * tap_skip_all: print a plan that says that nothing could be tested
 *
 * @reason: why
 *
 * Returns: the exit status for main(), GUEST_SKIP.
 */
int tap_skip_all(const char *reason);

#endif /* GUEST_TAP_H */
