/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/wait.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/array.h"
#include "common/base/clock.h"
#include "common/base/escape.h"

/* Sluice */
#include "sluice/run/interrupt.h"

#define DOUBT_AGE_S (24u * 3600u) /* what was found good since is not read again, unless something is wrong with it */

struct wait {
	struct client *client;
	struct layout *layout;
	struct progress *progress;
	const struct wait_hooks *hooks;
	struct span policy;
	struct hold *hold;  /* NULL: nothing is held */
	size_t next_held;   /* before it, all whose digest is known are held */
	uint64_t end_ms;    /* when to give up; monotonic, 0: never */
	struct blob *blobs; /* owned */
	size_t len, room;
	size_t count[BLOB_STATES]; /* number of blobs in each state */
	size_t next_new;           /* none before it is NEW */
	uint64_t look_ms;          /* when to check for a lost event */
};

int wait_new(struct client *c, struct layout *l, struct progress *p, const struct wait_hooks *hooks,
	     struct wait **ret_wait)
{
	struct wait *w = calloc(1, sizeof(*w));

	if (!w)
		return -ENOMEM;
	w->client = c;
	w->layout = l;
	w->progress = p;
	w->hooks = hooks;
	*ret_wait = w;
	return 0;
}

void wait_free(struct wait *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->len; i++)
		blob_release(&w->blobs[i]);
	free(w->blobs);
	free(w);
}

size_t wait_len(const struct wait *w)
{
	return w->len;
}

const struct blob *wait_at(const struct wait *w, size_t number)
{
	assert(number < w->len);
	return &w->blobs[number];
}

size_t wait_count(const struct wait *w, enum blob_state state)
{
	return w->count[state];
}

static size_t count_open(const struct wait *w)
{
	return w->count[BLOB_FOLLOWED] + w->count[BLOB_ORPHANED] + w->count[BLOB_LOST];
}

/* Linear: a pull's blobs are bounded, and the lists of real images are short. */
static bool find(const struct wait *w, struct span ref, size_t *ret_number)
{
	for (size_t i = 0; i < w->len; i++) {
		if (span_eq(span_str(w->blobs[i].ref), ref)) {
			*ret_number = i;
			return true;
		}
	}
	return false;
}

int wait_add(struct wait *w, const struct blob *like, size_t *ret_number)
{
	if (find(w, span_str(like->ref), ret_number))
		return 1;
	if (w->len >= WAIT_BLOBS_MAX)
		return -E2BIG;
	struct blob *blobs = array_room(w->blobs, w->len, &w->room, sizeof(*blobs));
	if (!blobs)
		return -ENOMEM;
	w->blobs = blobs;
	struct blob b = {
	    .ref = strdup(like->ref),
	    .source = strdup(like->source),
	    .content = like->content,
	    .digest = like->digest,
	    .doubt = like->doubt,
	    .role = like->role,
	    .depth = like->depth,
	};
	if (!b.ref || !b.source || progress_add(w->progress, b.ref, b.content.size, &b.bar) < 0) {
		blob_release(&b);
		return -ENOMEM;
	}
	*ret_number = w->len;
	w->blobs[w->len++] = b;
	w->count[BLOB_NEW]++;
	return 0;
}

static void set_state(struct wait *w, struct blob *b, enum blob_state state)
{
	w->count[b->state]--;
	w->count[state]++;
	b->state = state;
}

static void hear(struct wait *w, struct blob *b, enum blob_heard heard)
{
	enum blob_state before = b->state;

	blob_hear(b, heard, clock_mono_ms());
	w->count[before]--;
	w->count[b->state]++;
}

static void fail(struct wait *w, struct blob *b, enum fail_class fail_class, struct span text)
{
	struct bar *bar = progress_bar(w->progress, b->bar);

	b->fail_class = fail_class;
	b->why = strndup(text.len ? (const char *)text.data : "", text.len);
	b->arrived = bar->offset > 0;
	b->left_out = b->content.is_foreign && fail_class == FAIL_NOT_FOUND;
	if (b->left_out)
		set_state(w, b, BLOB_DONE);
	bar->begun = true;
	bar->state = TRANSFER_FAILED;
	if (b->left_out)
		text = span_str("left out: the registry does not have it, and says that others do");
	(void)escape_line((const char *)text.data, text.len, bar->text, sizeof(bar->text));
	progress_changed(w->progress, b->bar);
}

void wait_fail(struct wait *w, size_t number, enum fail_class fail_class, const char *why)
{
	struct blob *b = &w->blobs[number];

	assert(b->state == BLOB_STORED);
	set_state(w, b, BLOB_FAILED);
	b->fail_class = fail_class;
	b->why = strdup(why);
}

/* Whether its content is in the store, which decides whatever an answer says. */
static bool take_stored(struct wait *w, struct blob *b)
{
	struct bar *bar = progress_bar(w->progress, b->bar);
	struct descriptor *d = &b->content;
	uint64_t size;

	if (b->digest == BLOB_DIGEST_UNKNOWN || layout_blob_size(w->layout, &d->digest, &size) < 0)
		return false;
	if (d->size != SIZE_UNKNOWN && d->size != size) {
		struct reason text;
		reason_set(&text, "'%s' has %llu bytes, expected %llu", layout_blob_path(w->layout, &d->digest).text,
			   (unsigned long long)size, (unsigned long long)d->size);
		hear(w, b, BLOB_HEARD_FAILED);
		fail(w, b, FAIL_BAD_DATA, span_str(text.text));
		return true;
	}
	hear(w, b, BLOB_HEARD_STORED);
	d->size = size;
	b->arrived = true;
	bar->was_here = !bar->begun; /* it was there already when we first heard of it */
	bar->begun = true;
	bar->state = TRANSFER_COMMITTED;
	bar->offset = bar->total = size;
	bar->text[0] = '\0';
	progress_changed(w->progress, b->bar);
	return true;
}

/* ── what is stored, but wrong ── */

/* Ask commitd to look at it, once. What is damaged is absent after that. */
static int check(struct wait *w, struct blob *b, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message answer;

	digest_format(&b->content.digest, digest);
	const struct message m = {
	    .type = MSG_CHECK,
	    .digest = span_str(digest),
	    .flags = CHECK_FLAG_ANEW,
	    .age_s = b->doubt == BLOB_DOUBT_UNREAD ? DOUBT_AGE_S : 0,
	};
	b->was_checked = true;
	return client_ask(w->client, STAGE_COMMITD, &m, &answer, why);
}

/* Whether what has its name cannot be it; or, if nothing says its size, may not be. */
static bool is_doubtful(const struct wait *w, const struct blob *b)
{
	const struct descriptor *d = &b->content;
	uint64_t size;

	if (b->digest == BLOB_DIGEST_UNKNOWN)
		return false;
	int r = layout_blob_size(w->layout, &d->digest, &size);
	if (r < 0)
		return r == -EINVAL || r == -ELOOP;
	return d->size == SIZE_UNKNOWN ? b->doubt != BLOB_DOUBT_NONE : d->size != size;
}

static int check_doubtful(struct wait *w, struct blob *b, struct reason *why)
{
	return !b->was_checked && is_doubtful(w, b) ? check(w, b, why) : 0;
}

/* Whatever it was, it is wanted once more. */
static void want_again(struct wait *w, struct blob *b)
{
	set_state(w, b, BLOB_LOST);
	b->due_ms = b->heard_ms = clock_mono_ms();
}

int wait_heal(struct wait *w, size_t number, bool *ret_healed, struct reason *why)
{
	struct blob *b = &w->blobs[number];
	uint64_t size;

	assert(b->state == BLOB_STORED);
	*ret_healed = false;
	if (b->was_checked)
		return 0;
	int code = check(w, b, why);
	if (code != 0)
		return code;
	*ret_healed = layout_blob_size(w->layout, &b->content.digest, &size) == -ENOENT;
	if (*ret_healed)
		want_again(w, b);
	return 0;
}

size_t wait_for_lost(struct wait *w)
{
	size_t lost = 0;
	uint64_t size;

	for (size_t i = 0; i < w->len; i++) {
		struct blob *b = &w->blobs[i];
		if (b->state != BLOB_DONE || b->left_out ||
		    (layout_blob_size(w->layout, &b->content.digest, &size) == 0 && size == b->content.size))
			continue;
		want_again(w, b);
		b->was_checked = false;
		lost++;
	}
	return lost;
}

/* Show a RECORD, from an answer or an event. */
static void show(struct wait *w, const struct blob *b, const struct message *m)
{
	struct bar *bar = progress_bar(w->progress, b->bar);

	/* A record older than the blob's end, or an end that has not been checked yet. */
	if (m->state == TRANSFER_COMMITTED || m->state == TRANSFER_FAILED)
		return;
	bar->begun = true;
	bar->state = (enum transfer_state)m->state;
	bar->offset = m->offset;
	bar->rate = m->rate;
	bar->until_s = m->until_s;
	if (m->size != SIZE_UNKNOWN)
		bar->total = m->size;
	(void)escape_line((const char *)m->text.data, m->text.len, bar->text, sizeof(bar->text));
	progress_changed(w->progress, b->bar);
}

/* Check for a new ingestd, which does not know our requests. */
static int check_ingestd(struct wait *w, struct reason *why)
{
	bool changed;
	int code = client_check_incarnation(w->client, &changed, why);

	for (size_t i = 0; code == 0 && changed && i < w->next_new; i++)
		if (blob_is_open(&w->blobs[i]))
			hear(w, &w->blobs[i], BLOB_HEARD_RESTARTED);
	return code;
}

/* Unknown to ingestd, and not stored: perhaps because ingestd has restarted. */
static int take_loss(struct wait *w, struct blob *b, struct reason *why)
{
	int code = b->state == BLOB_FOLLOWED ? check_ingestd(w, why) : 0;

	if (code != 0)
		return code;
	hear(w, b, BLOB_HEARD_UNKNOWN);
	if (b->state == BLOB_FAILED)
		fail(w, b, FAIL_AGAIN, span_str("the transfer was aborted"));
	return 0;
}

/* ── the lease ── */

/* Collect a blob for the next hold_send(). One without a digest is held by its ref until that is known. */
static int hold_blob(struct wait *w, struct blob *b, struct reason *why)
{
	int r = b->digest == BLOB_DIGEST_UNKNOWN ? hold_add_ref(w->hold, span_str(b->ref))
						 : hold_add(w->hold, &b->content.digest);

	if (r < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	b->held = b->digest != BLOB_DIGEST_UNKNOWN;
	return 0;
}

/* Hold all blobs that were added, in one request. */
static int hold_new_ones(struct wait *w, struct reason *why)
{
	int code = 0;

	if (!w->hold || w->next_held == w->len)
		return 0;
	for (; code == 0 && w->next_held < w->len; w->next_held += code == 0)
		code = hold_blob(w, &w->blobs[w->next_held], why);
	return code != 0 ? code : hold_send(w->hold, why);
}

/* The digest has become known. */
static int hold_learned(struct wait *w, struct blob *b, struct reason *why)
{
	if (!w->hold || b->held || b->digest == BLOB_DIGEST_UNKNOWN)
		return 0;
	int code = hold_blob(w, b, why);
	return code != 0 ? code : hold_send(w->hold, why);
}

/*
 * The lease had ended, because we were stopped for too long: hold everything again, and what is no longer stored is wanted
 * once more.
 */
static int hold_again(struct wait *w, struct reason *why)
{
	uint64_t size;

	w->next_held = 0;
	int code = hold_new_ones(w, why);
	for (size_t i = 0; code == 0 && i < w->next_new; i++) {
		struct blob *b = &w->blobs[i];
		bool was_stored = b->state == BLOB_STORED || (b->state == BLOB_DONE && !b->left_out);
		if (!was_stored || layout_blob_size(w->layout, &b->content.digest, &size) == 0)
			continue;
		want_again(w, b);
	}
	return code;
}

static int take_answer(struct wait *w, struct blob *b, const struct message *m, bool look, struct reason *why)
{
	enum blob_heard heard = blob_heard_of(m, look);
	int code;

	if (m->type == MSG_RECORD) {
		blob_learn(b, m);
		show(w, b, m);
		if (heard == BLOB_HEARD_FAILED)
			progress_bar(w->progress, b->bar)->offset = m->offset; /* it is kept */
	}
	if (heard == BLOB_HEARD_COMMITTED && (code = hold_learned(w, b, why)) != 0)
		return code;
	bool is_over = heard == BLOB_HEARD_COMMITTED || heard == BLOB_HEARD_UNKNOWN;
	if (is_over && (code = check_doubtful(w, b, why)) != 0)
		return code;
	if (is_over && take_stored(w, b))
		return 0;
	if (heard == BLOB_HEARD_UNKNOWN)
		return take_loss(w, b, why);
	hear(w, b, heard);
	if (heard == BLOB_HEARD_FAILED)
		fail(w, b, (enum fail_class)m->fail_class, m->text);
	return 0;
}

/* Send GET, also for a blob that was requested before. */
static int request(struct wait *w, struct blob *b, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE] = "";
	struct message get = {
	    .type = MSG_GET,
	    .ref = span_str(b->ref),
	    .source = span_str(b->source),
	    .policy = w->policy,
	    .size = b->content.size,
	};
	struct message answer;

	if (b->digest == BLOB_DIGEST_GIVEN) {
		digest_format(&b->content.digest, digest);
		get.expected = span_str(digest);
	}
	int code = check_doubtful(w, b, why);
	b->doubt = BLOB_DOUBT_NONE; /* what is stored from now on was fetched */
	if (code == 0)
		code = client_ask(w->client, STAGE_INGESTD, &get, &answer, why);
	if (code != 0)
		return code;
	b->requests++;
	return take_answer(w, b, &answer, false, why);
}

/* Send STATUS for a requested blob, unless it is stored. */
static int look(struct wait *w, struct blob *b, struct reason *why)
{
	const struct message status = {.type = MSG_STATUS, .ref = span_str(b->ref)};
	struct message answer;
	int code = client_ask(w->client, STAGE_INGESTD, &status, &answer, why);

	return code != 0 ? code : take_answer(w, b, &answer, true, why);
}

/* Request NEW blobs, as many as the window allows. */
static int begin(struct wait *w, struct reason *why)
{
	int code = hold_new_ones(w, why);

	for (; code == 0 && w->next_new < w->len && count_open(w) < WAIT_WINDOW; w->next_new += code == 0)
		code = request(w, &w->blobs[w->next_new], why);
	return code;
}

/* Call the hook for all that are STORED; it may add blobs, and so move the array. */
static int tell(struct wait *w, struct reason *why)
{
	int code = 0;

	for (size_t i = 0; code == 0 && w->count[BLOB_STORED] > 0 && i < w->len; i++) {
		if (w->blobs[i].state != BLOB_STORED)
			continue;
		code = w->hooks->stored ? w->hooks->stored(w->hooks->self, w, i, why) : 0;
		if (w->blobs[i].state == BLOB_STORED)
			set_state(w, &w->blobs[i], BLOB_DONE);
	}
	return code;
}

/* Process one event: show the progress, and check at once if something ended. */
static void take_event(struct wait *w, const struct message *m)
{
	size_t i;

	if (m->type != MSG_RECORD || !find(w, m->ref, &i) || !blob_is_open(&w->blobs[i]))
		return;
	show(w, &w->blobs[i], m);
	/* It may be about an earlier transfer of the same ref, so its end is only a reason to check. */
	bool ended = m->state == TRANSFER_COMMITTED || m->state == TRANSFER_FAILED;
	w->blobs[i].failed_last = m->state == TRANSFER_FAILED;
	hear(w, &w->blobs[i], ended ? BLOB_HEARD_ENDED : BLOB_HEARD_PROGRESS);
}

/* Events may have been missed: any open blob may have ended, or ingestd may be a new one. */
static int catch_up(struct wait *w, struct reason *why)
{
	int code = check_ingestd(w, why);

	(void)client_missed(w->client); /* there is a new connection, and nothing is missed from now on */
	for (size_t i = 0; code == 0 && i < w->next_new; i++)
		if (w->blobs[i].state == BLOB_FOLLOWED)
			hear(w, &w->blobs[i], BLOB_HEARD_ENDED);
	return code;
}

/*
 * An event that got lost although its connection is intact would make us wait for ever. So now and then check the blob
 * that has had no news for longest: one request, however many there are.
 */
static int look_for_lost_event(struct wait *w, uint64_t now_ms, struct reason *why)
{
	struct blob *b = NULL;

	for (size_t i = 0; i < w->next_new; i++)
		if (w->blobs[i].state == BLOB_FOLLOWED && (!b || w->blobs[i].heard_ms < b->heard_ms))
			b = &w->blobs[i];
	uint64_t silent_ms = b ? now_ms - b->heard_ms : 0;
	w->look_ms = now_ms + (silent_ms < WAIT_LOOK_MS ? WAIT_LOOK_MS - silent_ms : WAIT_LOOK_MS);
	return silent_ms >= WAIT_LOOK_MS ? look(w, b, why) : 0;
}

/* Repeat requests and checks that are due; return how long until the next. */
static int attend(struct wait *w, unsigned *ret_wait_ms, struct reason *why)
{
	uint64_t now_ms = clock_mono_ms();
	uint64_t next_ms = now_ms + WAIT_LOOK_MS;
	int code = client_missed(w->client) ? catch_up(w, why) : 0;

	if (code == 0 && w->hold && !hold_renew(w->hold))
		code = hold_again(w, why);
	if (code == 0 && now_ms >= w->look_ms)
		code = look_for_lost_event(w, now_ms, why);
	for (size_t i = 0; code == 0 && i < w->next_new; i++) {
		struct blob *b = &w->blobs[i];
		if (!blob_is_open(b))
			continue;
		/* Do not check only the store: the name may exist without being durable. */
		if (b->due_ms <= now_ms)
			code = b->state == BLOB_LOST ? request(w, b, why) : look(w, b, why);
		if (blob_is_open(b) && b->due_ms < next_ms)
			next_ms = b->due_ms;
	}
	if (w->look_ms < next_ms)
		next_ms = w->look_ms;
	now_ms = clock_mono_ms();
	*ret_wait_ms = next_ms > now_ms ? (unsigned)(next_ms - now_ms) : 0;
	return code;
}

static void take_events(struct wait *w, unsigned wait_ms)
{
	struct message event;

	/* Wait for the first one; then process what has arrived meanwhile. */
	for (unsigned i = 0; i < 4 * WAIT_WINDOW && client_event(w->client, wait_ms, &event); i++) {
		take_event(w, &event);
		wait_ms = 0;
	}
}

/* One round: do what is due, then wait for events. */
static int turn(struct wait *w, struct reason *why)
{
	unsigned wait_ms = 0;
	int code = begin(w, why);

	if (code == 0)
		code = tell(w, why);
	if (code == 0)
		code = attend(w, &wait_ms, why);
	progress_tick(w->progress);
	if (code != 0 || count_open(w) == 0)
		return code;
	if (w->count[BLOB_STORED] > 0 || (w->next_new < w->len && count_open(w) < WAIT_WINDOW))
		wait_ms = 0; /* something can be done */
	take_events(w, wait_ms < PROGRESS_DRAW_MS ? wait_ms : PROGRESS_DRAW_MS);
	return 0;
}

void wait_use_policy(struct wait *w, struct span policy)
{
	w->policy = policy;
}

void wait_use_hold(struct wait *w, struct hold *hold)
{
	w->hold = hold;
}

void wait_limit(struct wait *w, uint64_t timeout_ms)
{
	w->end_ms = clock_mono_ms() + timeout_ms;
}

int wait_run(struct wait *w, struct reason *why)
{
	int code = 0;

	while (code == 0 && w->count[BLOB_DONE] + w->count[BLOB_FAILED] < w->len) {
		if (interrupt_seen()) {
			reason_set(why, "interrupted");
			return EXIT_INTERRUPTED;
		}
		if (w->end_ms > 0 && clock_mono_ms() >= w->end_ms) {
			reason_set(why, "not complete in the time that --timeout allows");
			return EX_TEMPFAIL;
		}
		code = turn(w, why);
	}
	return code;
}
