/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Options as rows of a table. A row's value comes from its default, then the configuration file (if the program reads
 * one), then the environment, then the command line; each later one wins. Every value is checked against the row's
 * bounds.
 */
#ifndef SLUICE_BASE_OPT_H
#define SLUICE_BASE_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/base/reason.h"

enum opt_kind {
	OPT_FLAG,    /* bool: "--name"; in files and the environment yes/no, true/false, on/off, 1/0 */
	OPT_TEXT,    /* const char *: borrowed from argv or the environment, or kept for the life of the process */
	OPT_COUNT,   /* uint64_t: a plain decimal number */
	OPT_BYTES,   /* uint64_t: a number with an optional K, M, G or T (powers of 1024) */
	OPT_TIME_MS, /* uint64_t milliseconds: a number with ms, s, m, h or d; plain numbers are seconds */
	OPT_CHOICE,  /* unsigned: which one of `choices` */
	OPT_SAID,    /* unsigned: as a flag, 1 for no and 2 for yes; left as it is unless given */
	OPT_TEXTS,   /* struct opt_texts: as OPT_TEXT, and each time one more */
	OPT_RATE,    /* uint64_t: as OPT_BYTES, with units in either case, as curl has it */
};

#define OPT_TEXTS_MAX 64

struct opt_texts {
	const char *list[OPT_TEXTS_MAX];
	size_t len;
};

/* A row is written with designated initialisers and sets a member of the program's single settings struct:
 *
 *   {.name = "lease", .kind = OPT_TIME_MS, .at = offsetof(struct settings, lease_ms), .def = "30s", ...}
 */

struct opt {
	const char *name; /* "max-retries": --max-retries, and max_retries in a file; NULL ends the table */
	char letter;      /* 'v' for -v, or 0 */
	enum opt_kind kind;
	const char *def;            /* as text; NULL: leave the member as it is */
	uint64_t min, max;          /* of the number, or of the text's length in bytes; max 0: no bound */
	const char *env;            /* an environment variable, or NULL */
	const char *arg;            /* its name in the help: "BYTES"; NULL for flags */
	const char *help;           /* NULL: not in the help, which must fit a screen; the manual page has it */
	size_t at;                  /* offset of the member: a bool, const char *, uint64_t or unsigned, by kind */
	const char *const *choices; /* the words of an OPT_CHOICE, NULL at their end */
};

/* In all of these, `settings` is the struct that `at` refers to. */

/* Set all rows to their defaults, or to their environment variables if not empty. -EINVAL with a reason that names the
 * row. */
int opt_defaults(const struct opt *table, void *settings, struct reason *why);
int opt_environment(const struct opt *table, void *settings, struct reason *why);

/* Set one row by its name (dashes or underscores) from text, which is copied. -ENOENT: no such row; -EINVAL: a bad
 * value. */
int opt_set(const struct opt *table, void *settings, const char *name, const char *value, struct reason *why);

/* Whether the option stands alone on a command line, without a value. */
bool opt_is_flag(const struct opt *row);

/*
 * Take the options out of argv up to "--": `argv` keeps the operands in their order and `ret_argc` is their number.
 * Options may come before and after operands ("--name value", "--name=value", "-v", "-n5"). -EINVAL with a reason. All
 * of argv is parsed: a main() passes argc - 1 and argv + 1.
 */
int opt_command_line(const struct opt *table, void *settings, int argc, char **argv, int *ret_argc, struct reason *why);

/* Print the rows of a table for --help, one per line, aligned. */
void opt_print_help(const struct opt *table, FILE *out);

/* Print the rows as a usage line, wrapped and indented to the end of `head`: HEAD [-q] [-n | --tries N] [--store DIR] TAIL. */
void opt_print_usage(const struct opt *table, const char *head, const char *tail, FILE *out);

/* Parse one value as a row of that kind would. 0 or -EINVAL. */
int opt_parse_number(enum opt_kind kind, const char *text, uint64_t *ret_value);

#endif
