/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/chunks.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/stage.h"

/* ingestd */
#include "ingestd/verdict.h"

#define MESSAGES_A_TURN 32 /* messages in one turn, before other events get theirs */

/* The last counters of fetchd. */
struct news {
	uint64_t incarnation; /* 0: nothing yet */
	uint64_t started_s, updated_s;
	char version[VERSION_TEXT_MAX + 1];
	uint8_t counts[COUNTS_MAX];
	size_t counts_len;
};

struct chunks {
	struct flow *flow;
	struct link *link;
	struct news news;
};

/* ── what fetchd says about a transfer ── */

static void on_resolved(struct flow *f, struct transfer *t, const struct message *m)
{
	struct record *record = &t->in->record;
	struct digest digest;
	struct reason why;

	if (!transfer_has(t, MARK_ASKS_DIGEST)) {
		flow_fail(f, t, FAIL_BAD_DATA, "fetchd resolved a tag that was not requested");
		return;
	}
	transfer_heard(t, 0);
	transfer_note(t, NULL);
	if (digest_parse(m->digest, &digest, &why) < 0) {
		flow_fail(f, t, FAIL_BAD_DATA, why.text);
		return;
	}
	bool is_other = record->has_expected && !digest_eq(&record->expected, &digest);
	if (t->in->offset > 0 && (is_other || ingest_set_alg(t->in, digest.alg) < 0)) {
		flow_start_over(f, t, FAIL_CHANGED, "the tag points to a different manifest now");
		return;
	}
	(void)ingest_set_alg(t->in, digest.alg);
	record->expected = digest;
	record->has_expected = true;
	(void)snprintf(record->media_type, sizeof(record->media_type), "%.*s", SPAN_ARG(m->media_type));
	transfer_mark(t, MARK_RESOLVED);
	flow_do(f, t, STEP_RESOLVED);
}

/* Learn what the server says about the content. False: it contradicts what is known, and that has been handled. */
static bool learn(struct flow *f, struct transfer *t, const struct message *m)
{
	struct reason why;

	if (m->size != SIZE_UNKNOWN && !verdict_length(t->in, m->size, &why)) {
		flow_start_over(f, t, FAIL_BAD_DATA, why.text);
		return false;
	}
	switch (verdict_learn(t, m, &why)) {
	case LEARN_OK:
		return true;
	case LEARN_CHANGED:
		flow_start_over(f, t, FAIL_CHANGED, why.text);
		return false;
	case LEARN_WRONG:
		break;
	}
	flow_fail(f, t, FAIL_BAD_DATA, why.text);
	return false;
}

static void on_opened(struct flow *f, struct transfer *t, const struct message *m)
{
	struct reason why;

	transfer_heard(t, 0);
	transfer_note(t, NULL);
	if (m->offset != t->in->offset) {
		flow_do(f, t, STEP_ORDER);
		return;
	}
	if (!learn(f, t, m))
		return;
	transfer_unmark(t, MARK_RESOLVED);
	transfer_mark(t, MARK_OPENED | (t->in->record.has_expected ? MARK_RESOLVED : 0));
	if (!verdict_space(t->in, &why)) {
		flow_wait_for_space(f, t, why.text);
		return;
	}
	if (transfer_news(t))
		events_publish(f->events, t);
	flow_reserve(f, t);
}

static void append(struct flow *f, struct transfer *t, struct span bytes)
{
	size_t accepted = 0;

	int r = ingest_append(t->in, bytes.data, bytes.len, &accepted);
	count_add(COUNT_WRITTEN_BYTES, accepted);
	if (r < 0) {
		flow_trouble(f, t, r, "write to");
		return;
	}
	if (transfer_progress(t))
		events_publish(f->events, t);
	if (flow_is_complete(t->in))
		flow_do(f, t, STEP_COMPLETE);
	else
		flow_checkpoint_if_due(f, t, t->heard_ms);
}

/* An earlier message was lost or never sent. */
static void order_again(struct flow *f, struct transfer *t)
{
	count_add(COUNT_GAPS, 1);
	log_debug("transfer '%s' has a gap at %" PRIu64, t->ref, t->in->offset);
	flow_do(f, t, STEP_ORDER);
}

static void on_chunk(struct flow *f, struct transfer *t, const struct message *m)
{
	struct ingest *in = t->in;
	struct reason why;

	transfer_heard(t, 0);
	count_add(COUNT_RECEIVED_BYTES, m->payload.len);
	if (!transfer_has(t, MARK_OPENED)) {
		order_again(f, t);
	} else if (m->offset < in->offset) {
		count_add(COUNT_DUPLICATE_BYTES, m->payload.len);
	} else if (m->offset > in->offset) {
		order_again(f, t);
	} else if (in->record.size != SIZE_UNKNOWN && m->payload.len > in->record.size - in->offset) {
		flow_fail(f, t, FAIL_BAD_DATA, "the server sent more bytes than the content has");
	} else if (!verdict_length(in, in->offset + m->payload.len, &why)) {
		flow_start_over(f, t, FAIL_BAD_DATA, why.text);
	} else {
		append(f, t, m->payload);
	}
}

static void on_end(struct flow *f, struct transfer *t, const struct message *m)
{
	struct ingest *in = t->in;

	transfer_heard(t, 0);
	if (!transfer_has(t, MARK_OPENED) || m->size > in->offset) {
		order_again(f, t);
		return;
	}
	if (m->size < in->offset) {
		flow_start_over(f, t, FAIL_BAD_DATA, "the content is shorter than what has arrived");
		return;
	}
	if (in->record.size == SIZE_UNKNOWN)
		in->record.size = m->size;
	flow_do(f, t, STEP_COMPLETE);
}

static void on_fail(struct flow *f, struct transfer *t, const struct message *m)
{
	char text[TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	if (m->fail_class == FAIL_CHANGED)
		flow_start_over(f, t, FAIL_CHANGED, text);
	else
		flow_source_failed(f, t, m->fail_class == FAIL_NONE ? FAIL_AGAIN : (enum fail_class)m->fail_class,
				   text);
}

static void log_beat(struct transfer *t, const char *text)
{
	const struct log_fields about = {.ref = t->ref, .bytes = t->in->offset};
	uint64_t held_back;

	if (text[0] == '\0' || !log_limit_pass(&t->beats, &held_back))
		return;
	log_with(LOG_LEVEL_INFO, &about, "transfer '%s' at %" PRIu64 ": %s", t->ref, t->in->offset, text);
}

static void on_beat(struct flow *f, struct transfer *t, const struct message *m)
{
	char text[TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	if (!transfer_beat(t, m->until_s, text))
		return;
	log_beat(t, text);
	events_publish(f->events, t);
}

/* ── the pipe ── */

static void (*handler_of(enum message_type type))(struct flow *, struct transfer *, const struct message *)
{
	switch (type) {
	case MSG_RESOLVED:
		return on_resolved;
	case MSG_OPENED:
		return on_opened;
	case MSG_CHUNK:
		return on_chunk;
	case MSG_END:
		return on_end;
	case MSG_FAIL:
		return on_fail;
	case MSG_BEAT:
		return on_beat;
	default:
		return NULL;
	}
}

/* A message of another attempt is stale, and fetchd is told to stop unless it has stopped already. */
static void on_transfer(struct flow *f, const struct message *m)
{
	struct transfer *t = transfers_find(f->transfers, m->ref);

	if (t && transfer_is_ordered(t) && m->attempt == t->in->record.attempt)
		handler_of(m->type)(f, t, m);
	else if (m->type != MSG_END && m->type != MSG_FAIL && m->type != MSG_RESOLVED)
		orders_cancel(f->orders, m->ref, m->attempt);
}

static void on_counts(struct chunks *c, const struct message *m)
{
	struct news *n = &c->news;

	if (m->stage != STAGE_FETCHD)
		return;
	n->incarnation = m->incarnation;
	n->started_s = m->started_s;
	n->updated_s = m->updated_s;
	(void)snprintf(n->version, sizeof(n->version), "%.*s", SPAN_ARG(m->version));
	memcpy(n->counts, m->counts.data, m->counts.len);
	n->counts_len = m->counts.len;
}

bool chunks_fetchd_counts(const struct chunks *c, struct message *ret_counts)
{
	const struct news *n = &c->news;

	if (n->incarnation == 0 || n->incarnation != link_peer(c->link) || link_peers_in(c->link) == 0)
		return false;
	*ret_counts = (struct message){
	    .type = MSG_COUNTS,
	    .stage = STAGE_FETCHD,
	    .incarnation = n->incarnation,
	    .started_s = n->started_s,
	    .updated_s = n->updated_s,
	    .version = span_str(n->version),
	    .counts = span_of(n->counts, n->counts_len),
	};
	return true;
}

const char *chunks_stranger(const struct chunks *c)
{
	return link_stranger(c->link);
}

void chunks_count(const struct chunks *c)
{
	count_set(COUNT_INGESTD_SAW_FETCHD, link_restarts(c->link));
	count_set(COUNT_PEERS_CHUNKS, link_peers_in(c->link));
	count_set(COUNT_PEERS_ORDERS, link_peers_out(c->link));
}

static bool take(void *self, const struct message *m)
{
	struct chunks *c = self;

	if (m->type == MSG_COUNTS)
		on_counts(c, m);
	else if (!handler_of(m->type))
		return false;
	else if (!logins_take(&c->flow->logins, m))
		on_transfer(c->flow, m);
	return true;
}

static void on_hello(void *self, bool is_new)
{
	struct chunks *c = self;
	struct transfers *ts = c->flow->transfers;

	if (is_new)
		log_info("fetchd said hello (%016" PRIx64 ")", link_peer(c->link));
	for (size_t i = 0; is_new && i < ts->len; i++)
		flow_doubt_size(c->flow, ts->by_ref[i], SIZE_UNKNOWN);
	orders_renew(c->flow->orders);
	logins_renew(&c->flow->logins);
}

static void flush(void *self)
{
	struct chunks *c = self;

	orders_flush(c->flow->orders);
	logins_flush(&c->flow->logins);
}

int chunks_new(struct loop *loop, const char *runtime_dir, uint64_t incarnation, struct flow *f,
	       struct chunks **ret_chunks)
{
	static const struct link_hooks hooks = {.take = take, .hello = on_hello, .flush = flush};
	struct chunks *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->flow = f;
	const struct link_env env = {
	    .loop = loop,
	    .runtime_dir = runtime_dir,
	    .in = PIPE_CHUNKS,
	    .out = PIPE_ORDERS,
	    .role = LINK_ANSWERS,
	    .incarnation = incarnation,
	    .peer_name = stage_name(STAGE_FETCHD),
	    .refused = COUNT_REFUSED_CHUNKS,
	    .turn_max = MESSAGES_A_TURN,
	    .hooks = &hooks,
	    .self = c,
	};
	int r = link_new(&env, &c->link);
	if (r < 0) {
		free(c);
		return r;
	}
	orders_use(f->orders, c->link);
	*ret_chunks = c;
	return 0;
}

void chunks_stop(struct chunks *c)
{
	link_pause(c->link);
}

void chunks_free(struct chunks *c)
{
	if (!c)
		return;
	orders_use(c->flow->orders, NULL);
	link_free(c->link);
	free(c);
}
