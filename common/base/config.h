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

#include <stdbool.h>
#include <stddef.h>

#include "common/base/reason.h"

#define CONFIG_OF_MACHINE "/etc/sluice/sluice.conf"

/* One key. The strings are borrowed for the call. 0, or -errno with a reason to stop reading. */
typedef int config_visit(void *self, const char *section, const char *key, const char *value, struct reason *why);

/* Read the file and visit every key in order. -errno with a reason that names the file and the line. Blocks on disk. */
int config_read(const char *path, config_visit *visit, void *self, struct reason *why);

/*
 * The file to read if none is named: the first that exists of $XDG_CONFIG_HOME/sluice/sluice.conf (if that is not set,
 * ~/.config/sluice/sluice.conf) and CONFIG_OF_MACHINE. False: none exists, or its path does not fit. Accesses the disk.
 */
bool config_find(char *ret_path, size_t room);

#endif
