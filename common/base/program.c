/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/program.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/log.h"
#include "common/base/process.h"
#include "common/base/shown.h"
#include "common/base/version.h"

#define LEFT_SIZE     96
#define COLUMN_GAP    3
#define NAME_WIDTH    8
#define LIST_ROOMY    18 /* verbs; with more of them, an empty line would be one too many for a screen of 24 */
#define LEVEL_DEFAULT (LOG_LEVEL_NOTICE - LOG_LEVEL_ERROR)

/* ── help ── */

/* "commitd commit [OPTION...]" */
static int usage_of(const struct program *p, const struct verb *v, char *out, size_t size)
{
	return snprintf(out, size, "%s%s%s%s%s", p->name, v->name ? " " : "", v->name ? v->name : "",
			*v->usage ? " " : "", v->usage);
}

static const struct verb *default_verb(const struct program *p)
{
	return p->verbs_len > 0 && !p->verbs[0].name ? &p->verbs[0] : NULL;
}

/* For a program with a default action: one line for each way to call it, then its options. */
static void show_uses(const struct program *p, const struct verb *by_default)
{
	int width = 0;

	for (size_t i = 0; i < p->verbs_len; i++) {
		int len = usage_of(p, &p->verbs[i], NULL, 0);
		width = len > width ? len : width;
	}
	for (size_t i = 0; i < p->verbs_len; i++) {
		char left[LEFT_SIZE];
		(void)usage_of(p, &p->verbs[i], left, sizeof(left));
		(void)printf("%s%-*s%s\n", i == 0 ? "usage: " : "       ", width + COLUMN_GAP, left,
			     p->verbs[i].summary);
	}
	(void)putchar('\n');
	if (by_default->options) {
		opt_print_help(by_default->options, stdout);
		(void)printf("\nglobal options:\n");
	}
	opt_print_help(p->options, stdout);
}

static void show_list(const struct program *p, FILE *out)
{
	char head[LEFT_SIZE];

	(void)snprintf(head, sizeof(head), "usage: %s", p->name);
	opt_print_usage(p->options, head, "COMMAND [OPERAND...]", out);
	if (p->verbs_len <= LIST_ROOMY)
		(void)fputc('\n', out);
	for (size_t i = 0; i < p->verbs_len; i++)
		(void)fprintf(out, "  %-*s %s\n", NAME_WIDTH, p->verbs[i].name, p->verbs[i].summary);
	(void)fprintf(out, "  %-*s what a command and its options do: %s help COMMAND\n", NAME_WIDTH, "help", p->name);
}

static void show_program(const struct program *p)
{
	const struct verb *v = default_verb(p);

	if (v)
		show_uses(p, v);
	else
		show_list(p, stdout);
}

static void show_verb(const struct program *p, const struct verb *v)
{
	char usage[LEFT_SIZE * 2];

	(void)usage_of(p, v, usage, sizeof(usage));
	(void)printf("usage: %s\n\n%s\n", usage, v->summary);
	if (v->help)
		(void)printf("\n%s", v->help);
	if (v->options) {
		(void)printf("\noptions:\n");
		opt_print_help(v->options, stdout);
	}
	if (v->hides_globals)
		return;
	(void)printf("\nglobal options:\n");
	opt_print_help(p->options, stdout);
}

/* ── finding the verb ── */

static const struct verb *verb_find(const struct program *p, const char *name)
{
	for (size_t i = 0; i < p->verbs_len; i++)
		if (p->verbs[i].name && strcmp(p->verbs[i].name, name) == 0)
			return &p->verbs[i];
	return NULL;
}

static bool has_value(const struct opt *table, const char *word)
{
	bool is_long = word[1] == '-';

	for (const struct opt *row = table; row && row->name; row++) {
		bool is_row = is_long ? strcmp(word + 2, row->name) == 0
				      : row->letter && word[1] == row->letter && word[2] == '\0';
		if (is_row)
			return !opt_is_flag(row);
	}
	return false;
}

/* Whether the next word is the value of this one, for an option of any verb. */
static bool takes_next(const struct program *p, const char *word)
{
	bool takes = has_value(p->options, word);

	for (size_t i = 0; !takes && i < p->verbs_len; i++)
		takes = has_value(p->verbs[i].options, word);
	return takes;
}

/* The first operand, or NULL. Unknown options are refused later. */
static const char *first_operand(const struct program *p, int words_len, char **words)
{
	int i = 0;

	while (i < words_len && words[i][0] == '-' && words[i][1] != '\0') {
		if (strcmp(words[i], "--") == 0)
			return i + 1 < words_len ? words[i + 1] : NULL;
		i += takes_next(p, words[i]) ? 2 : 1;
	}
	return i < words_len ? words[i] : NULL;
}

/* ── reading ── */

static size_t rows_len(const struct opt *table)
{
	size_t len = 0;

	while (table && table[len].name)
		len++;
	return len;
}

/* The verb's rows and the program's in one table. Owned by the caller; NULL: out of memory. */
static struct opt *rows_join(const struct program *p, const struct verb *v)
{
	const struct opt *own = v ? v->options : NULL;
	size_t own_len = rows_len(own), len = rows_len(p->options);
	struct opt *rows = calloc(own_len + len + 1, sizeof(*rows));

	if (rows && own)
		memcpy(rows, own, own_len * sizeof(*rows));
	if (rows && p->options)
		memcpy(rows + own_len, p->options, len * sizeof(*rows));
	return rows;
}

static int read_words(const struct call *c, void *settings, char **operands, int *ret_len, struct reason *why)
{
	if (c->words_len > 0)
		memcpy(operands, c->words, (size_t)c->words_len * sizeof(*operands));
	int r = opt_environment(c->rows, settings, why);
	return r < 0 ? r : opt_command_line(c->rows, settings, c->words_len, operands, ret_len, why);
}

/*
 * Read everything, from the defaults to the command line. If there may be a file, the command line is read twice: first
 * to learn where the file is, then to override it. `ret_code` is the exit code of a failure.
 */
static int read_all(const struct call *c, void *settings, char **operands, int *ret_len, int *ret_code,
		    struct reason *why)
{
	const struct program *p = c->program;
	struct program_settings *s = settings;

	*ret_code = EX_USAGE;
	s->log_level = LEVEL_DEFAULT;
	int r = opt_defaults(c->rows, settings, why);
	if (r == 0)
		r = read_words(c, settings, operands, ret_len, why);
	if (r < 0 || s->help)
		return r; /* --version still reads the file, so that a mistake in it is reported */
	if (p->read_file) {
		r = p->read_file(settings, why);
		if (r < 0) {
			*ret_code = EX_CONFIG;
			return r;
		}
		r = read_words(c, settings, operands, ret_len, why);
	}
	if (r == 0 && p->check && !s->version)
		r = p->check(settings, why);
	if (r == 0)
		log_set_level((enum log_level)(LOG_LEVEL_ERROR + s->log_level));
	return r;
}

int program_reread(const struct call *c, void *settings, struct reason *why)
{
	AUTO_FREE char **operands = calloc((size_t)c->words_len + 1, sizeof(*operands));
	int len, code;

	if (!operands) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	return read_all(c, settings, operands, &len, &code, why);
}

/* ── running ── */

static int see_help(const struct program *p, const struct verb *v, const char *what)
{
	log_error("%s: see '%s%s%s --help'", what, p->name, v && v->name ? " " : "", v && v->name ? v->name : "");
	return EX_USAGE;
}

static int no_such_verb(const struct program *p, const char *name)
{
	struct reason what;
	char shown[SHOWN_SIZE];

	shown_of(span_str(name), shown);
	reason_set(&what, "there is no command '%s'", shown);
	return see_help(p, NULL, what.text);
}

/* `program help` and `program help VERB`. */
static int run_help(const struct program *p, int argc, char **argv)
{
	bool of_verb = argc > 0 && strcmp(argv[0], "help") != 0;
	const struct verb *v = of_verb ? verb_find(p, argv[0]) : NULL;

	if (of_verb && !v)
		return no_such_verb(p, argv[0]);
	if (v)
		show_verb(p, v);
	else
		show_program(p);
	return EX_OK;
}

static int run_verb(struct call *c)
{
	const struct verb *v = c->verb;

	if (c->argc < v->operands_min || (v->operands_max != OPERANDS_ANY && c->argc > v->operands_max)) {
		struct reason what;
		reason_set(&what, "'%s' takes %s", v->name ? v->name : c->program->name,
			   *v->usage ? v->usage : "no operands");
		return see_help(c->program, v, what.text);
	}
	return v->run(c);
}

/* Without a stdout nobody wants to read what happened. A verb whose purpose is its output checks that it was written. */
static int flush_output(int code)
{
	if (fflush(stdout) == 0 || code != EX_OK || !process_has_stdout())
		return code;
	log_error("cannot write to standard output");
	return EX_IOERR;
}

/* Run what the command line says: help, the version, or a verb. */
static int act(struct call *c, bool wants_help)
{
	const struct program *p = c->program;
	const struct program_settings *s = c->settings;

	if (s->version) {
		(void)printf("%s %s\n", p->name, SLUICE_VERSION);
		return flush_output(EX_OK);
	}
	if (wants_help)
		return flush_output(run_help(p, c->argc, c->argv));
	if (s->help) {
		if (c->verb && c->verb->name)
			show_verb(p, c->verb);
		else
			show_program(p);
		return flush_output(EX_OK);
	}
	if (!c->verb) {
		show_list(p, stderr);
		return EX_USAGE;
	}
	int code = p->begin ? p->begin(c) : EX_OK;
	if (code != EX_OK)
		return code;
	code = flush_output(run_verb(c));
	return p->end ? p->end(c, code) : code;
}

int program_main(const struct program *p, void *settings, int argc, char **argv)
{
	struct call c = {.program = p,
			 .settings = settings,
			 .words_len = argc > 0 ? argc - 1 : 0,
			 .words = argc > 0 ? argv + 1 : argv};
	struct reason why;
	int len = 0, code;

	process_init(p->name);
	const char *name = first_operand(p, c.words_len, c.words);
	bool wants_help = name && strcmp(name, "help") == 0;
	c.verb = name && !wants_help ? verb_find(p, name) : default_verb(p);
	if (name && !wants_help && !c.verb)
		return no_such_verb(p, name);
	AUTO_FREE struct opt *rows = rows_join(p, c.verb);
	AUTO_FREE char **operands = calloc((size_t)argc + 1, sizeof(*operands));
	if (!rows || !operands) {
		log_error("out of memory");
		return EX_OSERR;
	}
	c.rows = rows;
	if (read_all(&c, settings, operands, &len, &code, &why) < 0) {
		if (code == EX_USAGE)
			return see_help(p, c.verb, why.text);
		log_error("%s", why.text);
		return code;
	}
	c.argc = name ? len - 1 : len;
	c.argv = name ? operands + 1 : operands;
	return act(&c, wants_help);
}
