/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration files in the INI form that inih reads:
 *
 *   [fetchd]
 *   max_retries = 8
 *   [registry localhost:5000]
 *   plain_http = yes
 *
 * The only file that knows inih is config.c.
 */
#ifndef SLUICE_BASE_CONFIG_H
#define SLUICE_BASE_CONFIG_H

#include "common/base/reason.h"

/* One key. The strings are borrowed for the call. 0, or -errno with a reason to stop reading. */
typedef int config_visit(void *self, const char *section, const char *key, const char *value, struct reason *why);

/* Read the file and visit every key in order. -errno with a reason that names the file and the line. Blocks on disk. */
int config_read(const char *path, config_visit *visit, void *self, struct reason *why);

#endif
