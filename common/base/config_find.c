/* SPDX-License-Identifier: Apache-2.0 */
/* Separate from config.c: a program that only looks for the file needs no parser. */
#include "common/base/config.h"

/* System */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* By the XDG base directory specification a relative path is ignored. */
static bool exists_below(const char *variable, const char *below, char *ret_path, size_t room)
{
	const char *base = getenv(variable);
	return base && base[0] == '/' && (size_t)snprintf(ret_path, room, "%s%s", base, below) < room &&
	       access(ret_path, F_OK) == 0;
}

bool config_find(char *ret_path, size_t room)
{
	const char *config_home = getenv("XDG_CONFIG_HOME");
	bool has_config_home = config_home && config_home[0] == '/';
	if (exists_below("XDG_CONFIG_HOME", "/sluice/sluice.conf", ret_path, room) ||
	    (!has_config_home && exists_below("HOME", "/.config/sluice/sluice.conf", ret_path, room)))
		return true;
	return (size_t)snprintf(ret_path, room, "%s", CONFIG_OF_MACHINE) < room && access(ret_path, F_OK) == 0;
}
