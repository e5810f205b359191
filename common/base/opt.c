/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/opt.h"

/* System */
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Base */
#include "common/base/keep.h"
#include "common/base/shown.h"

#define LABEL_SIZE    72
#define RANGE_SIZE    96
#define USAGE_COLUMNS 80

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit no_units[] = {{"", 1}, {NULL, 0}};
static const struct unit byte_units[] = {
    {"T", UINT64_C(1) << 40}, {"G", 1 << 30}, {"M", 1 << 20}, {"K", 1 << 10}, {"", 1}, {NULL, 0},
};
/* Plain numbers are seconds; to print one, the first that divides it is taken. */
static const struct unit time_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}, {"", 1000}, {NULL, 0},
};

static const struct unit *units_of(enum opt_kind kind)
{
	return kind == OPT_BYTES || kind == OPT_RATE ? byte_units : kind == OPT_TIME_MS ? time_units : no_units;
}

int opt_parse_number(enum opt_kind kind, const char *text, uint64_t *ret_value)
{
	uint64_t value = 0;
	const char *p = text;
	for (; isdigit((unsigned char)*p); p++)
		if (__builtin_mul_overflow(value, UINT64_C(10), &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -EINVAL;
	if (p == text)
		return -EINVAL;
	for (const struct unit *u = units_of(kind); u->name; u++) {
		if (kind == OPT_RATE ? strcasecmp(p, u->name) != 0 : strcmp(p, u->name) != 0)
			continue;
		if (__builtin_mul_overflow(value, u->factor, &value))
			return -EINVAL;
		*ret_value = value;
		return 0;
	}
	return -EINVAL;
}

static int parse_flag(const char *text, bool *ret_value)
{
	static const char *const words[][2] = {{"no", "yes"}, {"false", "true"}, {"off", "on"}, {"0", "1"}};
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		for (int value = 0; value < 2; value++) {
			if (strcmp(text, words[i][value]) == 0) {
				*ret_value = value == 1;
				return 0;
			}
		}
	}
	return -EINVAL;
}

static int parse_choice(const struct opt *row, const char *text, uint64_t *ret_value)
{
	for (unsigned i = 0; row->choices[i]; i++) {
		if (strcmp(row->choices[i], text) == 0) {
			*ret_value = i;
			return 0;
		}
	}
	return -EINVAL;
}

bool opt_is_flag(const struct opt *row)
{
	return row->kind == OPT_FLAG || row->kind == OPT_SAID;
}

static bool is_text(const struct opt *row)
{
	return row->kind == OPT_TEXT || row->kind == OPT_TEXTS;
}

static uint64_t row_max(const struct opt *row)
{
	return row->max > 0 ? row->max : UINT64_MAX;
}

static int format_number(enum opt_kind kind, uint64_t value, char *out, size_t size)
{
	const struct unit *u = units_of(kind);
	while (value == 0 ? u[1].name != NULL : value % u->factor != 0)
		u++;
	if (value == 0 && kind == OPT_TIME_MS)
		return snprintf(out, size, "0");
	return snprintf(out, size, "%" PRIu64 "%s", value / u->factor, u->name);
}

/* "one of a, b, c" */
static void choices_text(const struct opt *row, char ret_text[static RANGE_SIZE])
{
	int len = snprintf(ret_text, RANGE_SIZE, "one of");
	for (const char *const *word = row->choices; *word && len < RANGE_SIZE; word++)
		len +=
		    snprintf(ret_text + len, RANGE_SIZE - (size_t)len, "%s %s", word == row->choices ? "" : ",", *word);
}

/* "a number from 1 to 64K is allowed" */
static void range_text(const struct opt *row, char ret_text[static RANGE_SIZE])
{
	static const char *const what[] = {
	    [OPT_FLAG] = "yes or no",
	    [OPT_SAID] = "true or false",
	    [OPT_TEXT] = "a text",
	    [OPT_TEXTS] = "a text",
	    [OPT_COUNT] = "a number",
	    [OPT_BYTES] = "a size with an optional K, M, G or T",
	    [OPT_RATE] = "a number of bytes with an optional K, M, G or T",
	    [OPT_TIME_MS] = "a time in ms, s, m, h or d",
	};
	if (row->kind == OPT_CHOICE) {
		choices_text(row, ret_text);
		return;
	}
	char low[24], high[24];
	enum opt_kind kind = is_text(row) ? OPT_COUNT : row->kind;
	(void)format_number(kind, row->min, low, sizeof low);
	(void)format_number(kind, row_max(row), high, sizeof high);
	if (opt_is_flag(row))
		(void)snprintf(ret_text, RANGE_SIZE, "%s", what[row->kind]);
	else if (is_text(row))
		(void)snprintf(ret_text, RANGE_SIZE, "%s of %s to %s bytes", what[row->kind], low, high);
	else if (row->max > 0)
		(void)snprintf(ret_text, RANGE_SIZE, "%s, from %s to %s,", what[row->kind], low, high);
	else
		(void)snprintf(ret_text, RANGE_SIZE, "%s, from %s up,", what[row->kind], low);
}

static int texts_add(struct opt_texts *texts, const char *label, const char *value, struct reason *why)
{
	if (texts->len == OPT_TEXTS_MAX) {
		reason_set(why, "'%s' is given more than %d times", label, OPT_TEXTS_MAX);
		return -EINVAL;
	}
	texts->list[texts->len++] = value;
	return 0;
}

/*
 * Set the row's variable; `label` is the option as the user wrote it. The text of an OPT_TEXT is borrowed for the life
 * of the process.
 */
static int row_set(const struct opt *row, void *settings, const char *label, const char *value, struct reason *why)
{
	void *var = (char *)settings + row->at;
	uint64_t number = strlen(value);
	bool flag = false;
	int r = 0;
	if (opt_is_flag(row))
		r = parse_flag(value, &flag);
	else if (row->kind == OPT_CHOICE)
		r = parse_choice(row, value, &number);
	else if (!is_text(row))
		r = opt_parse_number(row->kind, value, &number);
	if (r < 0 || (!opt_is_flag(row) && (number < row->min || number > row_max(row)))) {
		char range[RANGE_SIZE], shown[SHOWN_SIZE];
		range_text(row, range);
		shown_of(span_str(value), shown);
		reason_set(why, "bad value '%s' for '%s': %s is allowed", shown, label, range);
		return -EINVAL;
	}
	if (row->kind == OPT_TEXTS)
		return texts_add(var, label, value, why);
	if (row->kind == OPT_FLAG)
		*(bool *)var = flag;
	else if (row->kind == OPT_SAID)
		*(unsigned *)var = flag ? 2 : 1;
	else if (row->kind == OPT_TEXT)
		*(const char **)var = value;
	else if (row->kind == OPT_CHOICE)
		*(unsigned *)var = (unsigned)number;
	else
		*(uint64_t *)var = number;
	return 0;
}

int opt_defaults(const struct opt *table, void *settings, struct reason *why)
{
	int r = 0;
	for (const struct opt *row = table; r == 0 && row->name; row++)
		if (row->def)
			r = row_set(row, settings, row->name, row->def, why);
	return r;
}

int opt_environment(const struct opt *table, void *settings, struct reason *why)
{
	int r = 0;
	for (const struct opt *row = table; r == 0 && row->name; row++) {
		const char *value = row->env ? getenv(row->env) : NULL;
		if (value && value[0] != '\0')
			r = row_set(row, settings, row->env, value, why);
	}
	return r;
}

/* Whether the `len` bytes of `name` are the row's name; with `underscores`, '_' stands for '-' too. */
static bool name_is(const struct opt *row, const char *name, size_t len, bool underscores)
{
	if (strlen(row->name) != len)
		return false;
	for (size_t i = 0; i < len; i++)
		if (name[i] != row->name[i] && !(underscores && name[i] == '_' && row->name[i] == '-'))
			return false;
	return true;
}

static const struct opt *row_find(const struct opt *table, const char *name, size_t len, bool underscores)
{
	for (const struct opt *row = table; row->name; row++)
		if (name_is(row, name, len, underscores))
			return row;
	return NULL;
}

int opt_set(const struct opt *table, void *settings, const char *name, const char *value, struct reason *why)
{
	const struct opt *row = row_find(table, name, strlen(name), true);
	if (!row) {
		reason_set(why, "there is no option '%s'", name);
		return -ENOENT;
	}
	const char *kept = is_text(row) ? keep_text(value) : value;
	if (!kept) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	return row_set(row, settings, name, kept, why);
}

/* Where we are in a command line. */
struct walk {
	const struct opt *table;
	void *settings;
	int argc;
	char **argv;
	int next;
	struct reason *why;
};

/* `inline_value` is the value in the same argument ("--name=value"), or NULL. */
static int walk_set(struct walk *w, const struct opt *row, const char *label, const char *inline_value)
{
	const char *value = inline_value;
	if (!value && opt_is_flag(row))
		value = "yes";
	if (!value && w->next == w->argc) {
		reason_set(w->why, "'%s' needs a value", label);
		return -EINVAL;
	}
	if (!value)
		value = w->argv[w->next++];
	return row_set(row, w->settings, label, value, w->why);
}

/* "--name" or "--name=value" */
static int walk_long(struct walk *w, const char *arg)
{
	char label[LABEL_SIZE];
	size_t len = strcspn(arg + 2, "=");
	(void)snprintf(label, sizeof label, "--%.*s", len < 64 ? (int)len : 64, arg + 2);
	const struct opt *row = row_find(w->table, arg + 2, len, false);
	if (!row) {
		reason_set(w->why, "there is no option '%s'", label);
		return -EINVAL;
	}
	return walk_set(w, row, label, arg[2 + len] == '=' ? arg + 2 + len + 1 : NULL);
}

/* "-v", "-qv", "-n 5" or "-n5" */
static int walk_short(struct walk *w, const char *arg)
{
	for (const char *p = arg + 1; *p != '\0'; p++) {
		const char label[] = {'-', *p, '\0'};
		const struct opt *row = w->table;
		while (row->name && row->letter != *p)
			row++;
		if (!row->name) {
			reason_set(w->why, "there is no option '%s'", label);
			return -EINVAL;
		}
		if (!opt_is_flag(row))
			return walk_set(w, row, label, p[1] != '\0' ? p + 1 : NULL);
		int r = walk_set(w, row, label, NULL);
		if (r < 0)
			return r;
	}
	return 0;
}

int opt_command_line(const struct opt *table, void *settings, int argc, char **argv, int *ret_argc, struct reason *why)
{
	struct walk w = {.table = table, .settings = settings, .argc = argc, .argv = argv, .why = why};
	int operands = 0;
	bool options = true;
	while (w.next < argc) {
		char *arg = argv[w.next++];
		int r = 0;
		if (options && strcmp(arg, "--") == 0)
			options = false;
		else if (options && arg[0] == '-' && arg[1] == '-')
			r = walk_long(&w, arg);
		else if (options && arg[0] == '-' && arg[1] != '\0')
			r = walk_short(&w, arg);
		else
			argv[operands++] = arg;
		if (r < 0)
			return r;
	}
	*ret_argc = operands;
	return 0;
}

static int left_column(const struct opt *row, char *out, size_t size)
{
	const char letter[] = {'-', row->letter, ',', ' ', '\0'};
	return snprintf(out, size, "  %s--%s%s%s", row->letter ? letter : "    ", row->name, row->arg ? " " : "",
			row->arg ? row->arg : "");
}

void opt_print_help(const struct opt *table, FILE *out)
{
	int width = 0;
	for (const struct opt *row = table; row->name; row++) {
		int len = left_column(row, NULL, 0);
		width = len > width ? len : width;
	}
	for (const struct opt *row = table; row->name; row++) {
		char left[LABEL_SIZE * 2];
		if (!row->help)
			continue;
		(void)left_column(row, left, sizeof left);
		(void)fprintf(out, "%-*s  %s", width, left, row->help);
		if (row->def && row->kind != OPT_FLAG && row->def[0] != '\0')
			(void)fprintf(out, " (%s)", row->def);
		(void)fputc('\n', out);
	}
}

void opt_print_usage(const struct opt *table, const char *head, const char *tail, FILE *out)
{
	int column = fprintf(out, "%s", head);
	int indent = column;
	for (const struct opt *row = table; row->name; row++) {
		char text[LABEL_SIZE * 2];
		const char letter[] = {'-', row->letter, ' ', '|', ' ', '\0'};
		bool is_short = row->letter && opt_is_flag(row);
		int len = is_short ? snprintf(text, sizeof text, " [-%c]", row->letter)
				   : snprintf(text, sizeof text, " [%s--%s%s%s]", row->letter ? letter : "", row->name,
					      row->arg ? " " : "", row->arg ? row->arg : "");
		if (column + len > USAGE_COLUMNS)
			column = fprintf(out, "\n%*s", indent, "") - 1;
		column += fprintf(out, "%s", text);
	}
	if (column + 1 + (int)strlen(tail) > USAGE_COLUMNS)
		(void)fprintf(out, "\n%*s", indent, "");
	(void)fprintf(out, " %s\n", tail);
}
