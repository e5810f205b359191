/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/receipts.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/stage.h"

#define MESSAGES_A_TURN 256 /* messages in one turn, before other events get theirs */

struct receipts {
	struct flow *flow;
	struct link *link;
};

/* The bytes are here, but commitd found something else in their place, or got an older seal: check and seal again. */
static void seal_again(struct flow *f, struct transfer *t)
{
	transfer_mark(t, MARK_SEALED_AGAIN);
	flow_do(f, t, STEP_COMPLETE);
}

static void on_rejected(struct flow *f, struct transfer *t, const struct message *m)
{
	char text[TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	if (m->fail_class == FAIL_SPACE)
		flow_wait_for_space(f, t, text);
	else if (m->fail_class == FAIL_MISSING && !t->in->is_moved && !transfer_has(t, MARK_SEALED_AGAIN))
		seal_again(f, t);
	else if (m->fail_class == FAIL_BAD_DATA || m->fail_class == FAIL_MISSING)
		flow_start_over(f, t, FAIL_BAD_DATA, text);
	else
		flow_fail(f, t, (enum fail_class)m->fail_class, text);
}

/* The ingest will be removed, so the blob must exist. */
static void on_committed(struct receipts *rs, struct transfer *t)
{
	const struct digest digest = t->in->record.sealed;
	uint64_t size;

	if (layout_blob_size(rs->flow->home->layout, &digest, &size) == 0) {
		flow_committed(rs->flow, t, &digest);
		return;
	}
	link_refuse(rs->link, "it reports a blob as stored that is not");
	transfer_enter(t, PHASE_SEAL_DUE);
	seals_flush(rs->flow->seals);
}

/* A receipt counts only if the ingest is sealed with that digest now; otherwise it is an old one. */
static void on_receipt(struct receipts *rs, const struct message *m)
{
	char sealed[DIGEST_TEXT_SIZE];
	struct transfer *t = transfers_find(rs->flow->transfers, m->ref);

	if (!t || (t->phase != PHASE_SEAL_DUE && t->phase != PHASE_SEAL_SENT))
		return;
	digest_format(&t->in->record.sealed, sealed);
	if (!span_eq(m->digest, span_str(sealed)))
		return;
	if (m->type == MSG_REJECTED)
		on_rejected(rs->flow, t, m);
	else
		on_committed(rs, t);
}

void receipts_count(const struct receipts *rs)
{
	count_set(COUNT_INGESTD_SAW_COMMITD, link_restarts(rs->link));
	count_set(COUNT_PEERS_RECEIPTS, link_peers_in(rs->link));
}

static bool take(void *self, const struct message *m)
{
	if (m->type != MSG_COMMITTED && m->type != MSG_REJECTED)
		return false;
	on_receipt(self, m);
	return true;
}

static void on_hello(void *self, bool is_new)
{
	struct receipts *rs = self;

	if (is_new)
		log_info("commitd said hello (%016" PRIx64 ")", link_peer(rs->link));
	seals_renew(rs->flow->seals);
}

static void flush(void *self)
{
	struct receipts *rs = self;

	seals_flush(rs->flow->seals);
}

int receipts_new(struct loop *loop, const char *runtime_dir, uint64_t incarnation, struct flow *f,
		 struct receipts **ret_receipts)
{
	static const struct link_hooks hooks = {.take = take, .hello = on_hello, .flush = flush};
	struct receipts *rs = calloc(1, sizeof(*rs));

	if (!rs)
		return -ENOMEM;
	rs->flow = f;
	const struct link_env env = {
	    .loop = loop,
	    .runtime_dir = runtime_dir,
	    .in = PIPE_RECEIPTS,
	    .out = PIPE_SEALS,
	    .role = LINK_CALLS,
	    .incarnation = incarnation,
	    .peer_name = stage_name(STAGE_COMMITD),
	    .refused = COUNT_REFUSED_RECEIPTS,
	    .turn_max = MESSAGES_A_TURN,
	    .hooks = &hooks,
	    .self = rs,
	};
	int r = link_new(&env, &rs->link);
	if (r < 0) {
		free(rs);
		return r;
	}
	seals_use(f->seals, rs->link);
	*ret_receipts = rs;
	return 0;
}

void receipts_stop(struct receipts *rs)
{
	link_pause(rs->link);
}

void receipts_free(struct receipts *rs)
{
	if (!rs)
		return;
	seals_use(rs->flow->seals, NULL);
	link_free(rs->link);
	free(rs);
}
