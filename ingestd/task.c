#include "ingestd/task.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"

#define RATE_AGE_MAX_MS 3000 /* a rate that was measured before that says nothing about now */

static int ref_compare(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* How many refs in the table are before `ref`, or with `behind` not behind it. */
static size_t position(const struct tasks *ts, struct span ref, bool behind)
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

struct task *tasks_find(const struct tasks *ts, struct span ref)
{
	size_t at = position(ts, ref, false);

	return at < ts->len && span_eq(span_str(ts->by_ref[at]->ref), ref) ? ts->by_ref[at] : NULL;
}

struct task *tasks_after(const struct tasks *ts, struct span ref)
{
	size_t at = position(ts, ref, true);

	return at < ts->len ? ts->by_ref[at] : NULL;
}

static struct task *task_new(struct desk *desk, struct span ref)
{
	struct task *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->ref = strndup((const char *)ref.data, ref.len);
	if (!t->ref) {
		free(t);
		return NULL;
	}
	t->desk = desk;
	t->state = TRANSFER_QUEUED;
	t->asked_size = t->size = SIZE_UNKNOWN;
	return t;
}

static bool tasks_grow(struct tasks *ts)
{
	if (ts->len < ts->room)
		return true;
	size_t room = ts->room > 0 ? 2 * ts->room : 64;
	struct task **grown = realloc(ts->by_ref, room * sizeof(struct task *));
	if (!grown)
		return false;
	ts->by_ref = grown;
	ts->room = room;
	return true;
}

struct task *tasks_add(struct tasks *ts, struct desk *desk, struct span ref)
{
	struct task *t = tasks_grow(ts) ? task_new(desk, ref) : NULL;

	if (!t)
		return NULL;
	size_t at = position(ts, ref, false);
	memmove(&ts->by_ref[at + 1], &ts->by_ref[at], (ts->len - at) * sizeof(struct task *));
	ts->by_ref[at] = t;
	ts->len++;
	t->turn = ++ts->turn;
	return t;
}

static void task_free(struct task *t)
{
	assert(!t->syncing);
	ingest_close(t->in);
	free(t->note);
	free(t->asked_source);
	free(t->ref);
	free(t);
}

void tasks_remove(struct tasks *ts, struct task *t)
{
	size_t at = position(ts, span_str(t->ref), false);

	assert(at < ts->len && ts->by_ref[at] == t);
	ts->len--;
	memmove(&ts->by_ref[at], &ts->by_ref[at + 1], (ts->len - at) * sizeof(struct task *));
	task_free(t);
}

struct task *tasks_oldest(const struct tasks *ts, enum transfer_state state)
{
	struct task *oldest = NULL;

	for (size_t i = 0; i < ts->len; i++) {
		struct task *t = ts->by_ref[i];
		if (t->state == state && (!oldest || t->turn < oldest->turn))
			oldest = t;
	}
	return oldest;
}

void tasks_release(struct tasks *ts)
{
	for (size_t i = 0; i < ts->len; i++)
		task_free(ts->by_ref[i]);
	free(ts->by_ref);
	*ts = (struct tasks){0};
}

void task_note(struct task *t, const char *text)
{
	char *kept = text && text[0] != '\0' ? strdup(text) : NULL;

	free(t->note);
	t->note = kept;
}

int task_ask(struct task *t, struct span source, const struct digest *expected, uint64_t size)
{
	char *kept = strndup((const char *)source.data, source.len);

	if (!kept)
		return -ENOMEM;
	free(t->asked_source);
	t->asked_source = kept;
	t->asked_size = size;
	t->has_asked_digest = expected;
	if (expected)
		t->asked_digest = *expected;
	return 0;
}

void task_apply_asked(struct task *t)
{
	struct record *record = &t->in->record;

	if (t->asked_size != SIZE_UNKNOWN && !record->has_sealed)
		record->size = t->asked_size;
	if (t->has_asked_digest) {
		record->expected = t->asked_digest;
		record->has_expected = true;
	}
	if (record->has_expected && t->in->offset == 0)
		(void)ingest_set_alg(t->in, record->expected.alg);
}

void task_refresh(struct task *t)
{
	if (!t->in)
		return;
	const struct record *record = &t->in->record;
	t->offset = t->in->offset;
	t->size = record->size;
	t->started_s = record->started_s;
	t->orders = record->orders;
	t->rehashed = t->in->rehashed;
	memcpy(t->media_type, record->media_type, sizeof(t->media_type));
	t->has_digest = !t->in->is_moved;
	if (t->has_digest)
		ingest_digest(t->in, &t->digest);
}

/* A transfer that fetchd holds back until some time rests, for whoever looks at it. */
static enum transfer_state shown_state(const struct task *t)
{
	return t->state == TRANSFER_FETCHING && t->until_s > 0 ? TRANSFER_WAITING : t->state;
}

uint64_t task_rate(const struct task *t)
{
	bool flows = t->state == TRANSFER_FETCHING && clock_mono_ms() - t->event_ms < RATE_AGE_MAX_MS;

	return flows ? t->rate : 0;
}

void task_record(struct task *t, struct record_texts *texts, struct message *ret_record)
{
	task_refresh(t);
	texts->digest[0] = '\0';
	if (t->has_digest)
		digest_format(&t->digest, texts->digest);
	*ret_record = (struct message){
	    .type = MSG_RECORD,
	    .ref = span_str(t->ref),
	    .state = (uint8_t)shown_state(t),
	    .offset = t->offset,
	    .size = t->size,
	    .digest = span_str(texts->digest),
	    .media_type = span_str(t->media_type),
	    .started_s = t->started_s,
	    .updated_s = t->updated_s,
	    .attempt = t->orders,
	    .rate = task_rate(t),
	    .rehashed = t->rehashed,
	    .until_s = t->until_s,
	    .fail_class = (uint8_t)t->fail_class,
	    .text = span_str(t->note),
	};
}
