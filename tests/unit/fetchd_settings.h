/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings as a command line and the files that it names make them.
 */
#ifndef SLUICE_TESTS_UNIT_FETCHD_SETTINGS_H
#define SLUICE_TESTS_UNIT_FETCHD_SETTINGS_H

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/config/policy.h"

#define ARGS_MAX 16

/* `words` is a command line without the program's name; blanks divide it. It holds until the next call. */
static inline struct call unit_call(const char *words)
{
	static const struct program program = {
	    .name = "fetchd", .options = settings_options, .read_file = settings_read_file};
	static char text[4096];
	static struct opt rows[64];
	static char *argv[ARGS_MAX];
	char *rest = text, *word;
	size_t len = 0;
	int argc = 0;
	(void)snprintf(text, sizeof(text), "%s", words);
	while ((word = strsep(&rest, " ")))
		if (*word != '\0')
			argv[argc++] = word;
	for (const struct opt *row = settings_get_options; row->name; row++)
		rows[len++] = *row;
	for (const struct opt *row = settings_options; row->name; row++)
		rows[len++] = *row;
	return (struct call){.program = &program, .words_len = argc, .words = argv, .rows = rows};
}

/* Read the settings of the command line again, like program_reread(). */
static inline int unit_settings(const char *words, struct settings *ret_settings, struct reason *why)
{
	const struct call call = unit_call(words);
	memset(ret_settings, 0, sizeof(*ret_settings));
	return program_reread(&call, ret_settings, why);
}

/* The settings that apply to a host. */
static inline struct policy unit_policy(const struct settings *s, const char *host)
{
	struct policy p;
	policy_resolve(s, host, &p);
	return p;
}

#endif
