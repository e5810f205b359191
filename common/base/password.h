/* SPDX-License-Identifier: Apache-2.0 */
/* A password from whoever runs the program: typed at a terminal without echo, or a line of standard input. */
#ifndef SLUICE_BASE_PASSWORD_H
#define SLUICE_BASE_PASSWORD_H

#include "common/base/buf.h"

#define PASSWORD_MAX 4096 /* bytes */

/*
 * Append it, without its line end, to `out`, which the caller wipes. If standard input is a terminal, `prompt` is
 * written to stderr first. 0; -ENODATA: it is empty; -EMSGSIZE: longer than PASSWORD_MAX; -EINTR: interrupted at the
 * terminal; another -errno. Blocks.
 */
int password_read(const char *prompt, struct buf *out);

#endif
