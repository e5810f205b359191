/*
 * How a line of progress is laid out. From left to right: label, state, bar, amount, rate, time left. What does not fit
 * goes: first the time left, then the rate, then the bar, then the amount.
 */

/* Own header */
#include "sluice/show/progress.h"

/* System */
#include <stdio.h>
#include <string.h>

/* OCI */
#include "common/oci/descriptor.h"

#define STATE_COLUMNS  8  /* "fetching" */
#define AMOUNT_COLUMNS 15 /* "1023MiB/1023MiB" */
#define RATE_COLUMNS   9  /* "1023MiB/s" */
#define ETA_COLUMNS    6  /* "59m59s" */
#define BAR_MIN        8  /* brackets included; a shorter one says nothing */
#define LINE_ROOM      512

static const char *state_word(const struct progress_item *item)
{
	if (item->was_here)
		return "exists";
	if (!item->begun)
		return "pending";
	switch (item->state) {
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

static void format_amount(const struct progress_item *item, char ret_text[static AMOUNT_COLUMNS + 1])
{
	char done[HUMAN_SIZE_ROOM], total[HUMAN_SIZE_ROOM];
	bool whole = item->state == TRANSFER_COMMITTED || item->was_here;

	human_size(item->offset, done);
	human_size(item->total, total);
	if (item->total == SIZE_UNKNOWN)
		(void)snprintf(ret_text, AMOUNT_COLUMNS + 1, "%s", item->offset || item->begun ? done : "");
	else if (whole)
		(void)snprintf(ret_text, AMOUNT_COLUMNS + 1, "%s", total);
	else
		(void)snprintf(ret_text, AMOUNT_COLUMNS + 1, "%s/%s", done, total);
}

/* "[====>    ]" in `columns` characters. */
static int append_bar(const struct progress_item *item, unsigned columns, struct buf *out)
{
	char bar[LINE_ROOM];
	unsigned inner = (columns < LINE_ROOM ? columns : LINE_ROOM - 1) - 2;
	bool whole = item->state == TRANSFER_COMMITTED || item->was_here;
	double share = item->total == 0 || whole ? 1.0 : (double)item->offset / (double)item->total;
	unsigned filled = share >= 1.0 ? inner : (unsigned)(share * inner);

	memset(bar, ' ', inner);
	memset(bar, '=', filled);
	if (filled < inner && filled > 0)
		bar[filled - 1] = '>';
	return buf_appendf(out, " [%.*s]", (int)inner, bar);
}

static bool shows_reason(const struct progress_item *item)
{
	return item->text[0] && (item->state == TRANSFER_WAITING || item->state == TRANSFER_FAILED);
}

/* The reason why it rests, as much as fits, instead of bar and rate. */
static int append_reason(const struct progress_item *item, unsigned columns, uint64_t now_s, struct buf *out)
{
	char left[HUMAN_DURATION_ROOM];
	int r = 0;

	if (columns < 2)
		return 0;
	columns--;
	if (item->state == TRANSFER_WAITING && item->until_s > now_s && columns > ETA_COLUMNS + 1) {
		human_duration(item->until_s - now_s, left);
		r = buf_appendf(out, " %*s", ETA_COLUMNS, left);
		columns -= ETA_COLUMNS + 1;
	}
	return r < 0 ? r : buf_appendf(out, " %.*s", (int)human_fit(item->text, columns), item->text);
}

/* Amount, rate and time left, those of them for which there is room, behind a bar that takes the rest. */
static int append_numbers(const struct progress_item *item, unsigned columns, struct buf *out)
{
	char amount[AMOUNT_COLUMNS + 1], rate[HUMAN_SIZE_ROOM], left[HUMAN_DURATION_ROOM] = "";
	bool moves = item->begun && !item->was_here && item->state == TRANSFER_FETCHING && item->rate > 0;
	uint64_t eta_s = human_eta_s(item->offset, item->total, item->rate);
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
	if (with_bar && item->total == SIZE_UNKNOWN)
		r = buf_appendf(out, " %*s", (int)(BAR_MIN + columns - need), "");
	else if (with_bar)
		r = append_bar(item, BAR_MIN + columns - need, out);
	format_amount(item, amount);
	if (r == 0)
		r = buf_appendf(out, " %*s", AMOUNT_COLUMNS, amount);
	human_size(item->rate, rate);
	if (r == 0 && with_rate && moves)
		r = buf_appendf(out, " %*s/s", RATE_COLUMNS - 2, rate);
	if (moves && eta_s != HUMAN_ETA_UNKNOWN)
		human_duration(eta_s, left);
	if (r == 0 && with_eta && moves)
		r = buf_appendf(out, " %*s", ETA_COLUMNS, left);
	return r;
}

int progress_line(const struct progress_item *item, unsigned width, uint64_t now_s, struct buf *out)
{
	char head[HUMAN_LABEL_ROOM + STATE_COLUMNS + 2];
	unsigned label = HUMAN_LABEL_ROOM - 1;
	int len = snprintf(head, sizeof(head), "%-*s %-*s", (int)label, item->label, STATE_COLUMNS, state_word(item));
	unsigned used = (unsigned)len < width ? (unsigned)len : width;
	int r = buf_append(out, head, used);

	if (r < 0)
		return r;
	return shows_reason(item) ? append_reason(item, width - used, now_s, out)
				  : append_numbers(item, width - used, out);
}

struct sum {
	size_t finished;
	uint64_t done, total, rate;
	bool all_known; /* how big they are */
};

static struct sum sum_of(const struct progress_item *items, size_t len)
{
	struct sum sum = {.all_known = true};

	for (size_t i = 0; i < len; i++) {
		bool whole = items[i].was_here || items[i].state == TRANSFER_COMMITTED;
		uint64_t size = items[i].total == SIZE_UNKNOWN ? items[i].offset : items[i].total;
		sum.finished += whole ? 1 : 0;
		sum.done += whole ? size : items[i].offset;
		sum.total += size;
		sum.rate += items[i].state == TRANSFER_FETCHING && !whole ? items[i].rate : 0;
		sum.all_known = sum.all_known && items[i].total != SIZE_UNKNOWN;
	}
	return sum;
}

/* In words where there is room for them, else in numbers, as many as fit. */
int progress_summary(const struct progress_item *items, size_t len, unsigned width, struct buf *out)
{
	char done[HUMAN_SIZE_ROOM], total[HUMAN_SIZE_ROOM], rate[HUMAN_SIZE_ROOM], left[HUMAN_DURATION_ROOM] = "";
	char text[LINE_ROOM];
	struct sum sum = sum_of(items, len);
	uint64_t eta_s = sum.all_known ? human_eta_s(sum.done, sum.total, sum.rate) : HUMAN_ETA_UNKNOWN;

	human_size(sum.done, done);
	human_size(sum.total, total);
	human_size(sum.rate, rate);
	if (eta_s != HUMAN_ETA_UNKNOWN)
		human_duration(eta_s, left);
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
