/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The skeleton of all four programs: process set-up, options, verbs, --help, --version, the log level, the exit code.
 *
 * A program is a table. Its main.c consists of the manual, the rows and a main():
 *
 *   static const struct opt options[] = {
 *       {.name = "store", .kind = OPT_TEXT, .at = offsetof(struct settings, store), .def = "/var/lib/sluice", ...},
 *       PROGRAM_LOG_LEVEL(struct settings, program, "notice", NULL),
 *       PROGRAM_OPTIONS(struct settings, program),
 *       {.name = NULL},
 *   };
 *   static const struct verb verbs[] = {
 *       {.usage = "[OPTION...]", .summary = "serve: name what ingestd sealed", .run = run_daemon},
 *       {.name = "commit", .usage = "[OPTION...]", .summary = "take seals ...", .run = run_commit},
 *   };
 *
 *   int main(int argc, char **argv)
 *   {
 *           static const struct program commitd = {.name = "commitd", .options = options, VERBS(verbs)};
 *           struct settings s = {.size = SIZE_UNKNOWN};
 *           return program_main(&commitd, &s, argc, argv);
 *   }
 *
 * The verb is the first operand; its options and those of the program may come before and after it. `program help VERB`
 * is `program VERB --help`. A verb without a name is what the program does when none is given; a program without such a
 * verb then prints its usage.
 */
#ifndef SLUICE_BASE_PROGRAM_H
#define SLUICE_BASE_PROGRAM_H

#include "common/base/log.h"
#include "common/base/opt.h"

/* What the skeleton itself uses: the first member of every program's struct settings. */
struct program_settings {
	bool help, version;
	unsigned log_level; /* an index into log_level_names */
};

/* clang-format off */
#define PROGRAM_OPTIONS(type, member)                                                                                  \
	{.name = "help", .letter = 'h', .kind = OPT_FLAG, .at = offsetof(type, member.help), .def = "no",              \
	 .help = "show this and stop"},                                                                                \
	{.name = "version", .letter = 'V', .kind = OPT_FLAG, .at = offsetof(type, member.version), .def = "no",        \
	 .help = "show the version and stop"}
#define PROGRAM_LOG_LEVEL(type, member, default_level, environment)                                                    \
	{.name = "log-level", .kind = OPT_CHOICE, .at = offsetof(type, member.log_level), .def = (default_level),      \
	 .choices = log_level_names, .env = (environment), .arg = "LEVEL",                                             \
	 .help = "error, warning, notice, info or debug"}
/* clang-format on */

struct program;
struct verb;

/* The arguments of a verb. */
struct call {
	const struct program *program;
	const struct verb *verb;
	void *settings; /* the program's struct, filled in */
	int argc;       /* operands, without the verb */
	char **argv;

	/* For program_reread(). */
	int words_len;
	char **words; /* the command line without the program's name */
	const struct opt *rows;
};

#define OPERANDS_ANY (-1)

struct verb {
	const char *name;          /* NULL: without a verb; the first row if there is one */
	const char *usage;         /* its options and operands: "[OPTION...] REF" */
	const char *summary;       /* a line */
	const char *help;          /* more lines, or NULL */
	const struct opt *options; /* in addition to the program's own, or NULL */
	bool hides_globals;        /* its --help shows only its own options */
	int operands_min;
	int operands_max;                    /* or OPERANDS_ANY */
	int (*run)(const struct call *call); /* returns the exit code, after a line that says why it is not 0 */
};

#define VERBS(rows) .verbs = (rows), .verbs_len = sizeof(rows) / sizeof((rows)[0])

struct program {
	const char *name;
	const struct opt *options; /* of every verb */
	const struct verb *verbs;
	size_t verbs_len;

	/*
	 * Each may be NULL. `read_file`: called after the command line was read, so that it knows the file's name; the
	 * environment and the command line override the file. -errno with a reason: exit code 78.
	 */
	int (*read_file)(void *settings, struct reason *why);
	/* Whether the settings are consistent. -EINVAL with a reason: exit code 64. */
	int (*check)(const void *settings, struct reason *why);
	/*
	 * Before the verb: an exit code other than 0 ends the program. After it, with stdout flushed: the final exit
	 * code.
	 */
	int (*begin)(const struct call *call);
	int (*end)(const struct call *call, int code);
};

/*
 * The body of a main(): returns the exit code. `settings` begins with struct program_settings and has initial values
 * for the members for which no row has a default.
 */
int program_main(const struct program *p, void *settings, int argc, char **argv);

/*
 * For a daemon whose file may have changed: read everything again, as at start, into other settings. The log level
 * follows. 0, or -errno with a reason; then `settings` are incomplete.
 */
int program_reread(const struct call *call, void *settings, struct reason *why);

#endif
