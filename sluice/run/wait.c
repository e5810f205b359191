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
#include "common/base/clock.h"
#include "common/base/escape.h"

/* Sluice */
#include "sluice/run/interrupt.h"

#define ASK_AGAIN_STEP_MS 200u /* each time that ingestd had lost it: a little later */
#define ASK_AGAIN_MAX_MS  5000u
#define ASKS_BY_TAG       3u /* for what vanished before its digest was known */

struct wait {
	struct client *client;
	struct layout *layout;
	struct progress *progress;
	const struct wait_hooks *hooks;
	struct want *wants; /* owned */
	size_t len, room;
	size_t unsettled;  /* NEW or ASKED */
	size_t asked;      /* ASKED */
	size_t next_new;   /* none before it is NEW */
	size_t untold;     /* DONE, but the hook has not been called */
	uint64_t check_ms; /* when to look whether ingestd is another */
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

static void want_release(struct want *x)
{
	free(x->ref);
	free(x->source);
	free(x->why);
}

void wait_free(struct wait *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->len; i++)
		want_release(&w->wants[i]);
	free(w->wants);
	free(w);
}

size_t wait_len(const struct wait *w)
{
	return w->len;
}

const struct want *wait_at(const struct wait *w, size_t want)
{
	assert(want < w->len);
	return &w->wants[want];
}

/* Linear: the most that a pull may want is bounded, and the lists of real images are short. */
static bool find(const struct wait *w, struct span ref, size_t *ret_want)
{
	for (size_t i = 0; i < w->len; i++) {
		if (span_eq(span_str(w->wants[i].ref), ref)) {
			*ret_want = i;
			return true;
		}
	}
	return false;
}

static int reserve(struct wait *w)
{
	if (w->len < w->room)
		return 0;
	size_t room = w->room ? 2 * w->room : 32;
	struct want *wants = reallocarray(w->wants, room, sizeof(*wants));
	if (!wants)
		return -ENOMEM;
	w->wants = wants;
	w->room = room;
	return 0;
}

int wait_add(struct wait *w, const struct want *like, size_t *ret_want)
{
	if (find(w, span_str(like->ref), ret_want))
		return 1;
	if (w->len >= WAIT_WANTS_MAX)
		return -E2BIG;
	if (reserve(w) < 0)
		return -ENOMEM;
	struct want x = *like;
	x.ref = strdup(like->ref);
	x.source = strdup(like->source);
	x.why = NULL;
	x.state = WANT_NEW;
	x.expects = like->has_digest;
	if (!x.ref || !x.source || progress_add(w->progress, x.ref, x.size, &x.shown) < 0) {
		want_release(&x);
		return -ENOMEM;
	}
	*ret_want = w->len;
	w->wants[w->len++] = x;
	w->unsettled++;
	return 0;
}

/* Leave NEW or ASKED for good. */
static void settle(struct wait *w, struct want *x, enum want_state state)
{
	assert(x->state == WANT_NEW || x->state == WANT_ASKED);
	w->unsettled--;
	if (x->state == WANT_ASKED)
		w->asked--;
	if (state == WANT_DONE)
		w->untold++;
	x->state = state;
	x->arrived = x->arrived || state == WANT_DONE;
}

static void fail(struct wait *w, struct want *x, enum fail_class fail_class, struct span text)
{
	struct bar *bar = progress_bar(w->progress, x->shown);

	settle(w, x, WANT_FAILED);
	x->fail_class = fail_class;
	x->why = strndup(text.len ? (const char *)text.data : "", text.len);
	x->arrived = bar->offset > 0;
	bar->begun = true;
	bar->state = TRANSFER_FAILED;
	(void)escape_line((const char *)text.data, text.len, bar->text, sizeof(bar->text));
	progress_changed(w->progress, x->shown);
}

void wait_fail(struct wait *w, size_t want, enum fail_class fail_class, const char *why)
{
	struct want *x = &w->wants[want];

	assert(x->state == WANT_DONE);
	free(x->why);
	x->state = WANT_FAILED;
	x->fail_class = fail_class;
	x->why = strdup(why);
}

/* Settle it if its content is in the store: that is the truth, whatever anybody says. */
static bool take_stored(struct wait *w, struct want *x)
{
	struct bar *bar = progress_bar(w->progress, x->shown);
	uint64_t size;

	if (!x->has_digest || layout_blob_size(w->layout, &x->digest, &size) < 0)
		return false;
	if (x->size != SIZE_UNKNOWN && x->size != size) {
		char text[128];
		int n = snprintf(text, sizeof(text), "has %llu bytes, and should have %llu", (unsigned long long)size,
				 (unsigned long long)x->size);
		fail(w, x, FAIL_BAD_DATA, span_of(text, (size_t)n));
		return true;
	}
	x->size = size;
	settle(w, x, WANT_DONE);
	bar->was_here = !bar->begun; /* the first that was heard of it is that it is there */
	bar->begun = true;
	bar->state = TRANSFER_COMMITTED;
	bar->offset = bar->total = size;
	bar->text[0] = '\0';
	progress_changed(w->progress, x->shown);
	return true;
}

/* What a record, by answer or by event, says for the eyes of a person. */
static void show(struct wait *w, const struct want *x, const struct message *m)
{
	struct bar *bar = progress_bar(w->progress, x->shown);

	/* A record that is older than the blob's end, or an end that is yet to be checked. */
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
	progress_changed(w->progress, x->shown);
}

/* What a record tells of the content. Its digest is that of the bytes so far: the content's once it is committed. */
static void learn(struct want *x, const struct message *m)
{
	if (!x->expects && m->state == TRANSFER_COMMITTED)
		x->has_digest = digest_parse(m->digest, &x->digest, NULL) == 0;
	if (!x->media_type[0] && m->media_type.len <= MEDIA_TYPE_MAX)
		(void)snprintf(x->media_type, sizeof(x->media_type), "%.*s", SPAN_ARG(m->media_type));
}

static bool rests_unasked(const struct message *m)
{
	return m->state == TRANSFER_WAITING && span_eq(m->text, span_str(TRANSFER_UNASKED));
}

/* ingestd does not have it: ask again, each time a little later. */
static void lose(struct want *x)
{
	uint64_t pause_ms = (uint64_t)x->asks * ASK_AGAIN_STEP_MS;

	x->ask_again = true;
	x->ask_ms = clock_mono_ms() + (pause_ms < ASK_AGAIN_MAX_MS ? pause_ms : ASK_AGAIN_MAX_MS);
}

/* An answer of ingestd about an ASKED want: RECORD or ERROR. */
static void take_answer(struct wait *w, struct want *x, const struct message *m)
{
	if (m->type == MSG_ERROR) {
		fail(w, x, (enum fail_class)m->fail_class, m->text);
		return;
	}
	learn(x, m);
	show(w, x, m);
	if (m->state == TRANSFER_FAILED) {
		progress_bar(w->progress, x->shown)->offset = m->offset; /* it is kept */
		fail(w, x, (enum fail_class)m->fail_class, m->text);
	}
	if (m->state == TRANSFER_COMMITTED && !take_stored(w, x))
		lose(x);
	else if (rests_unasked(m))
		x->ask_again = true;
}

/* GET: also for what was asked for before. */
static int ask(struct wait *w, struct want *x, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE] = "";
	struct message request = {
	    .type = MSG_GET,
	    .ref = span_str(x->ref),
	    .source = span_str(x->source),
	    .size = x->size,
	};
	struct message answer;

	if (x->expects) {
		digest_format(&x->digest, digest);
		request.expected = span_str(digest);
	}
	int code = client_ask(w->client, CLIENT_INGESTD, &request, &answer, why);
	if (code != 0)
		return code;
	if (x->state == WANT_NEW) {
		x->state = WANT_ASKED;
		w->asked++;
	}
	x->ask_again = x->orphaned = false;
	x->asks++;
	x->pause_ms = WAIT_POLL_MIN;
	x->poll_ms = clock_mono_ms() + x->pause_ms;
	take_answer(w, x, &answer);
	return 0;
}

/* A new ingestd does not know who waits. Look before asking again: it may be done, and would be fetched once more. */
static int check_ingestd(struct wait *w, struct reason *why)
{
	bool changed;
	int code = client_check_incarnation(w->client, &changed, why);

	w->check_ms = clock_mono_ms() + WAIT_POLL_MS;
	for (size_t i = 0; code == 0 && changed && i < w->next_new; i++) {
		w->wants[i].orphaned = true;
		w->wants[i].ask_again = false;
		w->wants[i].poll_ms = 0;
	}
	return code;
}

/*
 * ingestd has no such transfer. It is stored meanwhile, or ingestd is another one, or somebody aborted it: to ask again
 * would undo that. Where the digest is not known it may just as well be stored, and we too late to hear under which.
 */
static int take_loss(struct wait *w, struct want *x, struct reason *why)
{
	if (take_stored(w, x))
		return 0;
	int code = x->orphaned ? 0 : check_ingestd(w, why);
	if (code != 0)
		return code;
	if (x->orphaned)
		return ask(w, x, why);
	if (!x->expects && x->asks < ASKS_BY_TAG)
		lose(x);
	else
		fail(w, x, FAIL_AGAIN, span_str("somebody aborted the transfer"));
	return 0;
}

/* STATUS: the truth about one that was asked for, unless it is stored. */
static int look(struct wait *w, struct want *x, struct reason *why)
{
	const struct message request = {.type = MSG_STATUS, .ref = span_str(x->ref)};
	struct message answer;
	int code = client_ask(w->client, CLIENT_INGESTD, &request, &answer, why);

	if (code != 0)
		return code;
	x->pause_ms = x->pause_ms * 2 < WAIT_POLL_MS ? x->pause_ms * 2 : WAIT_POLL_MS;
	x->poll_ms = clock_mono_ms() + x->pause_ms;
	if (answer.type == MSG_ERROR && answer.fail_class == FAIL_NOT_FOUND)
		return take_loss(w, x, why);
	take_answer(w, x, &answer);
	x->ask_again = x->ask_again || (x->orphaned && answer.state == TRANSFER_WAITING);
	x->orphaned = false;
	return 0;
}

/* Ask for NEW ones, as far as the window allows. */
static int begin(struct wait *w, struct reason *why)
{
	int code = 0;

	while (code == 0 && w->next_new < w->len && w->asked < WAIT_WINDOW) {
		struct want *x = &w->wants[w->next_new];
		if (x->state == WANT_NEW) /* not the store, where a name may be and not be durable yet */
			code = ask(w, x, why);
		if (code == 0)
			w->next_new++;
	}
	return code;
}

/* Call the hook for all that are DONE; it may add wants, and so move the array. */
static int tell(struct wait *w, struct reason *why)
{
	int code = 0;

	for (size_t i = 0; code == 0 && w->untold > 0 && i < w->len; i++) {
		if (w->wants[i].state != WANT_DONE || w->wants[i].told)
			continue;
		w->wants[i].told = true;
		w->untold--;
		code = w->hooks->done(w->hooks->self, w, i, why);
	}
	return code;
}

/* Take one event. It shows progress, and makes us look at once where something ended. */
static void take_event(struct wait *w, const struct message *m)
{
	size_t i;

	if (m->type != MSG_RECORD || !find(w, m->ref, &i) || w->wants[i].state != WANT_ASKED)
		return;
	struct want *x = &w->wants[i];
	show(w, x, m);
	/* It may be about an earlier transfer of the same ref, so its end is only a reason to look. */
	if (m->state == TRANSFER_COMMITTED || m->state == TRANSFER_FAILED)
		x->poll_ms = 0;
}

static int check_ingestd_if_due(struct wait *w, uint64_t now_ms, struct reason *why)
{
	return now_ms < w->check_ms ? 0 : check_ingestd(w, why);
}

/* Ask again and look where it is time; say how long nothing will be due. */
static int attend(struct wait *w, unsigned *ret_wait_ms, struct reason *why)
{
	uint64_t now_ms = clock_mono_ms();
	uint64_t next_ms = now_ms + WAIT_POLL_MS;
	int code = check_ingestd_if_due(w, now_ms, why);

	for (size_t i = 0; code == 0 && i < w->next_new; i++) {
		struct want *x = &w->wants[i];
		if (x->state != WANT_ASKED)
			continue;
		if (x->ask_again && x->ask_ms <= now_ms)
			code = ask(w, x, why);
		else if (!x->ask_again && x->poll_ms <= now_ms)
			code = look(w, x, why); /* not at the store: the name may be there and not durable yet */
		uint64_t due_ms = x->ask_again ? x->ask_ms : x->poll_ms;
		if (x->state == WANT_ASKED)
			next_ms = due_ms < next_ms ? due_ms : next_ms;
	}
	now_ms = clock_mono_ms();
	*ret_wait_ms = next_ms > now_ms ? (unsigned)(next_ms - now_ms) : 0;
	return code;
}

static void take_events(struct wait *w, unsigned wait_ms)
{
	struct message event;

	/* The first one is worth waiting for; then what has come meanwhile. */
	for (unsigned i = 0; i < 4 * WAIT_WINDOW && client_event(w->client, wait_ms, &event); i++) {
		take_event(w, &event);
		wait_ms = 0;
	}
}

int wait_run(struct wait *w, struct reason *why)
{
	int code = 0;

	while (code == 0 && (w->unsettled > 0 || w->untold > 0)) {
		unsigned wait_ms = 0;
		if (interrupt_seen()) {
			reason_set(why, "interrupted");
			code = EXIT_INTERRUPTED;
		}
		if (code == 0)
			code = begin(w, why);
		if (code == 0)
			code = tell(w, why);
		if (code == 0)
			code = attend(w, &wait_ms, why);
		progress_tick(w->progress);
		bool idle = w->untold == 0 && (w->next_new == w->len || w->asked >= WAIT_WINDOW);
		if (code == 0 && w->unsettled > 0)
			take_events(w, idle ? (wait_ms < PROGRESS_DRAW_MS ? wait_ms : PROGRESS_DRAW_MS) : 0);
	}
	return code;
}
