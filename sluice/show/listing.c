/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/listing.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/date.h"
#include "common/base/escape.h"

/* Sluice */
#include "sluice/show/table.h"
#include "sluice/show/text.h"

#define WHOLE_COLUMNS  10
#define PLACE_BYTES    sizeof(void *) /* of a transfer in the order in which they are shown */
#define NARROW_COLUMNS 8
#define WATCHED_HEAD   2 /* lines above the first transfer */
#define AMOUNT_ROOM    (2 * TEXT_SIZE_ROOM)
#define RATE_ROOM      (TEXT_SIZE_ROOM + 2)
#define WHY_ROOM       (TEXT_MAX + 1 + DATE_TEXT_SIZE + 16)

static void format_rate(const struct status *s, char ret_text[static RATE_ROOM])
{
	char size[TEXT_SIZE_ROOM];

	(void)snprintf(ret_text, RATE_ROOM, "-");
	if (s->state != TRANSFER_FETCHING || s->rate == 0)
		return;
	text_size(s->rate, size);
	(void)snprintf(ret_text, RATE_ROOM, "%s/s", size);
}

static void format_eta(const struct status *s, char ret_text[static TEXT_DURATION_ROOM])
{
	uint64_t eta_s = text_eta_s(s->offset, s->total, s->rate);

	(void)snprintf(ret_text, TEXT_DURATION_ROOM, "-");
	if (s->state == TRANSFER_FETCHING && eta_s != TEXT_ETA_UNKNOWN)
		text_duration(eta_s, ret_text);
}

/* Why it waits or has failed, and how long a failed one is kept. */
static void format_why(const struct status *s, char ret_text[static WHY_ROOM])
{
	char until[DATE_TEXT_SIZE] = "";

	if (s->state == TRANSFER_FAILED && s->until_s > 0)
		date_format(s->until_s, until);
	(void)snprintf(ret_text, WHY_ROOM, "%s%s%s", s->text, until[0] != '\0' ? "; kept until " : "", until);
}

static int add_whole(struct table *t, const struct status *s)
{
	char offset[24], total[24] = "-", rate[RATE_ROOM], eta[TEXT_DURATION_ROOM], attempts[24];
	char started[DATE_TEXT_SIZE], updated[DATE_TEXT_SIZE], why[WHY_ROOM];

	(void)snprintf(offset, sizeof(offset), "%" PRIu64, s->offset);
	if (s->total != SIZE_UNKNOWN)
		(void)snprintf(total, sizeof(total), "%" PRIu64, s->total);
	(void)snprintf(attempts, sizeof(attempts), "%" PRIu64, s->attempts);
	format_rate(s, rate);
	format_eta(s, eta);
	date_format(s->started_s, started);
	date_format(s->updated_s, updated);
	format_why(s, why);
	const char *const cells[WHOLE_COLUMNS] = {
	    s->ref, transfer_state_name(s->state), offset, total, rate, eta, started, updated, attempts, why};
	return table_add(t, cells);
}

static int append_row(const struct table *t, size_t number, size_t width, struct buf *out)
{
	int r = table_row(t, number, width, out);

	return r < 0 ? r : buf_append_str(out, "\n");
}

int listing_whole(const struct status_list *list, struct buf *out)
{
	static const char *const heads[WHOLE_COLUMNS] = {"REF", "STATE",   "OFFSET",  "TOTAL",    "RATE",
							 "ETA", "STARTED", "UPDATED", "ATTEMPTS", "WHY"};
	AUTO_TABLE t = NULL;
	int r = table_new(WHOLE_COLUMNS, &t);

	if (r == 0)
		r = table_add(t, heads);
	for (size_t i = 0; r == 0 && i < list->len; i++)
		r = add_whole(t, &list->rows[i]);
	for (size_t i = 0; r == 0 && i <= list->len; i++)
		r = append_row(t, i, SIZE_MAX, out);
	return r;
}

/* Moving transfers, those that will continue by themselves, and those that need the user. */
static unsigned rank(const struct status *s)
{
	static const unsigned char ranks[] = {
	    [TRANSFER_FETCHING] = 0, [TRANSFER_SEALED] = 1, [TRANSFER_COMMITTED] = 1,
	    [TRANSFER_WAITING] = 2,  [TRANSFER_FAILED] = 3, [TRANSFER_QUEUED] = 4,
	};

	return ranks[s->state];
}

static int compare(const void *a, const void *b)
{
	const struct status *x = *(const struct status *const *)a, *y = *(const struct status *const *)b;

	return rank(x) != rank(y) ? (rank(x) < rank(y) ? -1 : 1) : strcmp(x->ref, y->ref);
}

/* NULL when memory is out. The caller owns it. */
static const struct status **sorted(const struct status_list *list)
{
	const struct status **order = calloc(list->len + 1, PLACE_BYTES);

	for (size_t i = 0; order && i < list->len; i++)
		order[i] = &list->rows[i];
	if (order)
		qsort(order, list->len, PLACE_BYTES, compare);
	return order;
}

static int add_narrow(struct table *t, const struct status *s)
{
	char label[TEXT_LABEL_ROOM], done[TEXT_SIZE_ROOM], total[TEXT_SIZE_ROOM], amount[AMOUNT_ROOM];
	char rate[RATE_ROOM], eta[TEXT_DURATION_ROOM], tries[24], updated[DATE_TEXT_SIZE], started[DATE_TEXT_SIZE];

	text_label(s->ref, label);
	text_size(s->offset, done);
	text_size(s->total, total);
	if (s->total == SIZE_UNKNOWN)
		(void)snprintf(amount, sizeof(amount), "%s", done);
	else
		(void)snprintf(amount, sizeof(amount), "%s/%s", done, total);
	format_rate(s, rate);
	format_eta(s, eta);
	(void)snprintf(tries, sizeof(tries), "%" PRIu64, s->attempts);
	date_format(s->updated_s, updated);
	date_format(s->started_s, started);
	const char *const cells[NARROW_COLUMNS] = {
	    label, transfer_state_name(s->state), amount, rate, eta, tries, updated, started};
	return table_add(t, cells);
}

/* Its heads are row 0. */
static int make_narrow(const struct status **order, size_t len, struct table **ret_table)
{
	static const char *const heads[NARROW_COLUMNS] = {"REF", "STATE", "DONE",    "RATE",
							  "ETA", "TRIES", "UPDATED", "STARTED"};
	/* The longest that there are, of what changes. */
	static const char *const longest[] = {"0123456789ab", "fetching", "1023MiB/1023MiB", "1023MiB/s", "59m59s"};
	AUTO_TABLE t = NULL;
	int r = table_new(NARROW_COLUMNS, &t);

	for (unsigned c = 0; r == 0 && c < sizeof(longest) / sizeof(longest[0]); c++)
		table_widen(t, c, strlen(longest[c]));
	if (r == 0)
		r = table_add(t, heads);
	for (size_t i = 0; r == 0 && i < len; i++)
		r = add_narrow(t, order[i]);
	if (r == 0) {
		*ret_table = t;
		t = NULL;
	}
	return r;
}

/* A row; below it the name, if there is no digest yet, and the reason for its state. */
static int append_status(const struct table *t, size_t number, const struct status *s, unsigned width, unsigned lines,
			 struct buf *out)
{
	char why[WHY_ROOM], text[4 * WHY_ROOM];
	struct digest digest;
	assert(s);
	int r = append_row(t, number, width, out);

	if (r == 0 && digest_parse(span_str(s->ref), &digest, NULL) < 0)
		r = text_wrap(s->ref, width, lines, out);
	format_why(s, why);
	(void)escape_line(why, strlen(why), text, sizeof(text));
	return r < 0 ? r : text_wrap(text, width, lines, out);
}

int listing_narrow(const struct status_list *list, unsigned width, struct buf *out)
{
	AUTO_FREE const struct status **order = sorted(list);
	AUTO_TABLE t = NULL;
	int r = order ? make_narrow(order, list->len, &t) : -ENOMEM;

	if (r == 0)
		r = append_row(t, 0, width, out);
	for (size_t i = 0; r == 0 && i < list->len; i++)
		r = append_status(t, i + 1, order[i], width, UINT_MAX, out);
	return r;
}

static int append_cut(struct buf *out, unsigned width, const char *text)
{
	return buf_appendf(out, "%.*s\n", (int)text_fit(text, width), text);
}

/* "2 of 5 transfers under way, 8.0MiB/s" */
static int append_sum(const struct status_list *list, unsigned width, struct buf *out)
{
	char text[128], size[TEXT_SIZE_ROOM];
	uint64_t rate = 0;
	size_t moving = 0;

	for (size_t i = 0; i < list->len; i++) {
		moving += rank(&list->rows[i]) <= 1 ? 1 : 0;
		rate += list->rows[i].state == TRANSFER_FETCHING ? list->rows[i].rate : 0;
	}
	text_size(rate, size);
	(void)snprintf(text, sizeof(text), "%zu of %zu transfers under way, %s/s", moving, list->len, size);
	return append_cut(out, width, text);
}

static unsigned lines_of(const struct buf *text)
{
	unsigned lines = 0;

	for (size_t i = 0; i < text->len; i++)
		lines += text->data[i] == '\n' ? 1 : 0;
	return lines;
}

/* Remove the last addition, which does not fit. */
static int append_rest(struct buf *out, size_t before, size_t rest, unsigned width)
{
	char text[64];

	out->len = before;
	(void)snprintf(text, sizeof(text), "and %zu more", rest);
	return append_cut(out, width, text);
}

int listing_watched(const struct status_list *list, unsigned width, unsigned height, struct buf *out)
{
	AUTO_FREE const struct status **order = sorted(list);
	AUTO_TABLE t = NULL;
	int r = order ? make_narrow(order, list->len, &t) : -ENOMEM;

	if (r == 0)
		r = append_sum(list, width, out);
	if (r < 0 || height <= WATCHED_HEAD || list->len == 0)
		return r;
	r = append_row(t, 0, width, out);
	for (size_t i = 0; r == 0 && i < list->len; i++) {
		size_t before = out->len;
		r = append_status(t, i + 1, order[i], width, 1, out);
		if (r == 0 && lines_of(out) + (i + 1 < list->len ? 1 : 0) > height)
			return append_rest(out, before, list->len - i, width);
	}
	return r;
}
