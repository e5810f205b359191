/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/transfers.h"

/* System */
#include <assert.h>
#include <stdlib.h>

/* Base */
#include "common/base/array.h"

/* Wire */
#include "common/wire/counters.h"

static int ref_compare(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* How many refs in the table are before `ref`, or with `behind` not after it. */
static size_t position(const struct transfers *ts, struct span ref, bool behind)
{
	size_t low = 0, high = ts->len;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = ref_compare(span_str(ts->by_ref[middle]->ref), ref);
		if (order < 0 || (behind && order == 0))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct transfer *transfers_find(const struct transfers *ts, struct span ref)
{
	size_t at = position(ts, ref, false);

	return at < ts->len && span_eq(span_str(ts->by_ref[at]->ref), ref) ? ts->by_ref[at] : NULL;
}

struct transfer *transfers_after(const struct transfers *ts, struct span ref)
{
	size_t at = position(ts, ref, true);

	return at < ts->len ? ts->by_ref[at] : NULL;
}

struct transfer *transfers_add(struct transfers *ts, struct flow *flow, struct span ref)
{
	struct transfer **grown = array_room(ts->by_ref, ts->len, &ts->room, sizeof(struct transfer *));

	if (!grown)
		return NULL;
	ts->by_ref = grown;
	struct transfer *t = transfer_new(flow, ref, ts->of_state);
	if (!t)
		return NULL;
	size_t at = position(ts, ref, false);
	memmove(&ts->by_ref[at + 1], &ts->by_ref[at], (ts->len - at) * sizeof(struct transfer *));
	ts->by_ref[at] = t;
	ts->len++;
	transfers_to_end(ts, t);
	return t;
}

size_t transfers_of_user(const struct transfers *ts, uid_t uid)
{
	size_t count = 0;

	for (size_t i = 0; i < ts->len; i++) {
		const struct transfer *t = ts->by_ref[i];
		count += t->has_asker && t->asker == uid && t->phase != PHASE_COMMITTED;
	}
	return count;
}

void transfers_to_end(struct transfers *ts, struct transfer *t)
{
	transfer_set_turn(t, ++ts->turn);
}

void transfers_remove(struct transfers *ts, struct transfer *t)
{
	size_t at = position(ts, span_str(t->ref), false);

	assert(at < ts->len && ts->by_ref[at] == t);
	ts->len--;
	memmove(&ts->by_ref[at], &ts->by_ref[at + 1], (ts->len - at) * sizeof(struct transfer *));
	transfer_free(t);
}

struct transfer *transfers_oldest(const struct transfers *ts, enum transfer_state state)
{
	struct transfer *oldest = NULL;

	if (ts->of_state[state] == 0)
		return NULL;
	for (size_t i = 0; i < ts->len; i++) {
		struct transfer *t = ts->by_ref[i];
		if (t->state == state && (!oldest || t->turn < oldest->turn))
			oldest = t;
	}
	return oldest;
}

bool transfers_any_open(const struct transfers *ts)
{
	for (size_t i = 0; i < ts->len; i++)
		if (ts->by_ref[i]->in)
			return true;
	return false;
}

/* The gauge that a transfer belongs to; COUNTERS: none. */
static enum counter gauge_of(const struct transfer *t)
{
	switch (t->state) {
	case TRANSFER_QUEUED:
		return COUNT_INGESTS_QUEUED;
	case TRANSFER_FETCHING:
		return t->until_s > 0 ? COUNT_INGESTS_FOR_TIME : COUNT_INGESTS_FETCHING;
	case TRANSFER_SEALED:
		return COUNT_INGESTS_SEALED;
	case TRANSFER_FAILED:
		return COUNT_INGESTS_FAILED;
	case TRANSFER_WAITING:
		return t->phase == PHASE_FOR_SPACE  ? COUNT_INGESTS_FOR_SPACE
		       : t->phase == PHASE_FOR_LOCK ? COUNT_INGESTS_FOR_LOCK
						    : COUNT_INGESTS_FOR_ASKER;
	case TRANSFER_COMMITTED:
		break;
	}
	return COUNTERS;
}

void transfers_count(const struct transfers *ts)
{
	uint64_t rate = 0, orders_due = 0, seals_due = 0;

	for (enum counter c = COUNT_INGESTS_QUEUED; c <= COUNT_INGESTS_FOR_ASKER; c++)
		count_set(c, 0);
	for (size_t i = 0; i < ts->len; i++) {
		const struct transfer *t = ts->by_ref[i];
		enum counter gauge = gauge_of(t);
		if (gauge != COUNTERS)
			count_add(gauge, 1);
		rate += transfer_rate(t);
		orders_due += t->phase == PHASE_ORDER_DUE;
		seals_due += t->phase == PHASE_SEAL_DUE;
	}
	count_set(COUNT_RATE, rate);
	count_set(COUNT_BACKLOG_ORDERS, orders_due);
	count_set(COUNT_BACKLOG_SEALS, seals_due);
}

void transfers_release(struct transfers *ts)
{
	for (size_t i = 0; i < ts->len; i++)
		transfer_free(ts->by_ref[i]);
	free(ts->by_ref);
	*ts = (struct transfers){0};
}
