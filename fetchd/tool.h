/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `fetchd get`: one transfer to stdout, to pipe the stages together in a shell.
 */
#ifndef SLUICE_FETCHD_TOOL_H
#define SLUICE_FETCHD_TOOL_H

#include "common/base/program.h"

/*
 * Fetch `source` according to the call's settings: frames on stdout (HELLO, OPENED, CHUNK ..., END or FAIL), or raw
 * bytes. Returns the exit code: that of the FAIL's class; 64 for a bad argument or frames on a terminal; 75 if the
 * reader of stdout went away. Blocks until it is done.
 */
int tool_get(const struct call *call, const char *source);

#endif
