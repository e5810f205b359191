/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/bar.h"

/* System */
#include <stdio.h>
#include <string.h>

/* OCI */
#include "common/oci/descriptor.h"

#define STATE_COLUMNS  8  /* "fetching" */
#define AMOUNT_COLUMNS 15 /* "1023MiB/1023MiB" */
#define RATE_COLUMNS   9  /* "1023MiB/s" */
#define ETA_COLUMNS    6  /* "59m59s" */
#define BAR_MIN        8  /* including brackets; a shorter one is useless */
#define LINE_ROOM      512

static const char *state_word(const struct bar *bar)
{
	if (bar->was_here)
		return "exists";
	if (!bar->begun)
		return "pending";
	if (bar->word)
		return bar->word;
	switch (bar->state) {
	case TRANSFER_QUEUED:
		return "queued";
	case TRANSFER_FETCHING:
		return "fetching";
	case TRANSFER_SEALED:
		return "sealed";
	case TRANSFER_COMMITTED:
		return "done";
	case TRANSFER_WAITING:
		return "waiting";
	case TRANSFER_FAILED:
		return "failed";
	}
	return "";
}

static void format_amount(const struct bar *bar, char ret_text[static AMOUNT_COLUMNS + 1])
{
	char done[TEXT_SIZE_ROOM], total[TEXT_SIZE_ROOM];
	bool whole = bar->state == TRANSFER_COMMITTED || bar->was_here;

	text_size(bar->offset, done);
	text_size(bar->total, total);
	if (bar->total == SIZE_UNKNOWN)
		(void)snprintf(ret_text, AMOUNT_COLUMNS + 1, "%s", bar->offset || bar->begun ? done : "");
	else if (whole)
		(void)snprintf(ret_text, AMOUNT_COLUMNS + 1, "%s", total);
	else
		(void)snprintf(ret_text, AMOUNT_COLUMNS + 1, "%s/%s", done, total);
}

/* "[====>    ]" in `columns` characters. */
static int append_bar(const struct bar *bar, unsigned columns, struct buf *out)
{
	char fill[LINE_ROOM];
	unsigned inner = (columns < LINE_ROOM ? columns : LINE_ROOM - 1) - 2;
	bool whole = bar->state == TRANSFER_COMMITTED || bar->was_here;
	double share = bar->total == 0 || whole ? 1.0 : (double)bar->offset / (double)bar->total;
	unsigned filled = share >= 1.0 ? inner : (unsigned)(share * inner);

	memset(fill, ' ', inner);
	memset(fill, '=', filled);
	if (filled < inner && filled > 0)
		fill[filled - 1] = '>';
	return buf_appendf(out, " [%.*s]", (int)inner, fill);
}

static bool shows_reason(const struct bar *bar)
{
	return bar->text[0] && (bar->state == TRANSFER_WAITING || bar->state == TRANSFER_FAILED);
}

/* Why it waits or failed, as much as fits, in place of bar and rate. */
static int append_reason(const struct bar *bar, unsigned columns, uint64_t now_s, struct buf *out)
{
	char left[TEXT_DURATION_ROOM];
	int r = 0;

	if (columns < 2)
		return 0;
	columns--;
	if (bar->state == TRANSFER_WAITING && bar->until_s > now_s && columns > ETA_COLUMNS + 1) {
		text_duration(bar->until_s - now_s, left);
		r = buf_appendf(out, " %*s", ETA_COLUMNS, left);
		columns -= ETA_COLUMNS + 1;
	}
	return r < 0 ? r : buf_appendf(out, " %.*s", (int)text_fit(bar->text, columns), bar->text);
}

/* A bar, followed by amount, rate and time left as far as they fit; the bar takes the remaining columns. */
static int append_numbers(const struct bar *bar, unsigned columns, struct buf *out)
{
	char amount[AMOUNT_COLUMNS + 1], rate[TEXT_SIZE_ROOM], left[TEXT_DURATION_ROOM] = "";
	bool moves = bar->begun && !bar->was_here && bar->state == TRANSFER_FETCHING && bar->rate > 0;
	uint64_t eta_s = text_eta_s(bar->offset, bar->total, bar->rate);
	unsigned need = 1 + AMOUNT_COLUMNS;

	if (columns < need)
		return 0;
	bool with_bar = columns >= need + 1 + BAR_MIN;
	need += with_bar ? 1 + BAR_MIN : 0;
	bool with_rate = columns >= need + 1 + RATE_COLUMNS;
	need += with_rate ? 1 + RATE_COLUMNS : 0;
	bool with_eta = with_rate && columns >= need + 1 + ETA_COLUMNS;
	need += with_eta ? 1 + ETA_COLUMNS : 0;

	int r = 0;
	if (with_bar && bar->total == SIZE_UNKNOWN)
		r = buf_appendf(out, " %*s", (int)(BAR_MIN + columns - need), "");
	else if (with_bar)
		r = append_bar(bar, BAR_MIN + columns - need, out);
	format_amount(bar, amount);
	if (r == 0)
		r = buf_appendf(out, " %*s", AMOUNT_COLUMNS, amount);
	text_size(bar->rate, rate);
	if (r == 0 && with_rate && moves)
		r = buf_appendf(out, " %*s/s", RATE_COLUMNS - 2, rate);
	if (moves && eta_s != TEXT_ETA_UNKNOWN)
		text_duration(eta_s, left);
	if (r == 0 && with_eta && moves)
		r = buf_appendf(out, " %*s", ETA_COLUMNS, left);
	return r;
}

int bar_line(const struct bar *bar, unsigned width, uint64_t now_s, struct buf *out)
{
	char head[TEXT_LABEL_ROOM + STATE_COLUMNS + 2];
	unsigned label = TEXT_LABEL_ROOM - 1;
	int len = snprintf(head, sizeof(head), "%-*s %-*s", (int)label, bar->label, STATE_COLUMNS, state_word(bar));
	unsigned used = (unsigned)len < width ? (unsigned)len : width;
	int r = buf_append(out, head, used);

	if (r < 0)
		return r;
	return shows_reason(bar) ? append_reason(bar, width - used, now_s, out)
				 : append_numbers(bar, width - used, out);
}

struct sum {
	size_t finished;
	uint64_t done, total, rate;
	bool all_known; /* how big they are */
};

static struct sum sum_of(const struct bar *bars, size_t len)
{
	struct sum sum = {.all_known = true};

	for (size_t i = 0; i < len; i++) {
		bool whole = bars[i].was_here || bars[i].state == TRANSFER_COMMITTED;
		uint64_t size = bars[i].total == SIZE_UNKNOWN ? bars[i].offset : bars[i].total;
		sum.finished += whole ? 1 : 0;
		sum.done += whole ? size : bars[i].offset;
		sum.total += size;
		sum.rate += bars[i].state == TRANSFER_FETCHING && !whole ? bars[i].rate : 0;
		sum.all_known = sum.all_known && bars[i].total != SIZE_UNKNOWN;
	}
	return sum;
}

/* In words where there is room for them, else in numbers, as many as fit. */
int bar_summary(const struct bar *bars, size_t len, unsigned width, struct buf *out)
{
	char done[TEXT_SIZE_ROOM], total[TEXT_SIZE_ROOM], rate[TEXT_SIZE_ROOM], left[TEXT_DURATION_ROOM] = "";
	char text[LINE_ROOM];
	struct sum sum = sum_of(bars, len);
	uint64_t eta_s = sum.all_known ? text_eta_s(sum.done, sum.total, sum.rate) : TEXT_ETA_UNKNOWN;

	text_size(sum.done, done);
	text_size(sum.total, total);
	text_size(sum.rate, rate);
	if (eta_s != TEXT_ETA_UNKNOWN)
		text_duration(eta_s, left);
	int n = snprintf(text, sizeof(text), "%zu of %zu blobs, %s of %s", sum.finished, len, done, total);
	if (sum.rate > 0)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ", %s/s%s%s%s", rate, *left ? ", " : "", left,
			      *left ? " left" : "");
	if ((unsigned)n > width && sum.rate > 0)
		n = snprintf(text, sizeof(text), "%zu/%zu %s/%s %s/s %s", sum.finished, len, done, total, rate, left);
	else if ((unsigned)n > width)
		n = snprintf(text, sizeof(text), "%zu/%zu %s/%s", sum.finished, len, done, total);
	for (char *end; (unsigned)n > width && (end = strrchr(text, ' ')); n = (int)(end - text))
		*end = '\0';
	return buf_append(out, text, (unsigned)n < width ? (size_t)n : width);
}
