#include "ingestd/receipts.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

struct receipts {
	struct flow *flow;
	struct pipe *pipe;
	struct loop_io can_receive;
	struct log_limit bad;
};

static void refuse(struct receipts *rs, const char *what)
{
	uint64_t held_back;

	count_add(COUNT_REFUSED_RECEIPTS, 1);
	if (log_limit_pass(&rs->bad, &held_back))
		log_warning("refused a message on 'receipts': %s (%" PRIu64 " more not shown)", what, held_back);
}

/* The bytes are here and commitd saw something else in their place, or an older seal: once more, from the check on. */
static void seal_again(struct flow *f, struct transfer *t)
{
	t->sealed_again = true;
	flow_do(f, t, STEP_COMPLETE);
}

static void on_rejected(struct flow *f, struct transfer *t, const struct message *m)
{
	char text[TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	if (m->fail_class == FAIL_SPACE)
		flow_wait_for_space(f, t, text);
	else if (m->fail_class == FAIL_MISSING && !t->in->is_moved && !t->sealed_again)
		seal_again(f, t);
	else if (m->fail_class == FAIL_BAD_DATA || m->fail_class == FAIL_MISSING)
		flow_start_over(f, t, FAIL_BAD_DATA, text);
	else
		flow_fail(f, t, (enum fail_class)m->fail_class, text);
}

/* The ingest is about to be removed for it, so the blob has to be there. */
static void on_committed(struct receipts *rs, struct transfer *t)
{
	const struct digest digest = t->in->record.sealed;
	uint64_t size;

	if (layout_blob_size(rs->flow->home->layout, &digest, &size) == 0) {
		flow_committed(rs->flow, t, &digest);
		return;
	}
	refuse(rs, "it reports a blob as stored that is not");
	transfer_enter(t, PHASE_SEAL_DUE);
	seals_flush(rs->flow->seals);
}

/* A receipt counts for the ingest that is sealed under that digest now; anything else is an old one. */
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
	count_set(COUNT_PEERS_RECEIPTS, pipe_peers(rs->pipe));
}

static void on_readable(void *self, unsigned events)
{
	struct receipts *rs = self;
	struct message m;
	enum decode_verdict verdict;
	int r;

	(void)events;
	while ((r = pipe_receive(rs->pipe, &m, &verdict)) != -EAGAIN) {
		if (r == -EBADMSG)
			refuse(rs, decode_verdict_text(verdict));
		else if (r < 0)
			log_errno(r, "cannot receive from commitd");
		else if (m.type == MSG_HELLO)
			seals_greet(rs->flow->seals, m.incarnation, m.peer);
		else if (m.type == MSG_COMMITTED || m.type == MSG_REJECTED)
			on_receipt(rs, &m);
		else
			refuse(rs, "commitd does not send it");
	}
}

int receipts_new(struct loop *loop, const char *runtime_dir, struct flow *f, struct receipts **ret_receipts)
{
	struct receipts *rs = calloc(1, sizeof(*rs));

	if (!rs)
		return -ENOMEM;
	rs->flow = f;
	int r = pipe_open(runtime_dir, PIPE_RECEIPTS, PIPE_PULL, &rs->pipe);
	if (r < 0) {
		free(rs);
		return r;
	}
	loop_io_init(&rs->can_receive, loop, on_readable, rs);
	loop_io_watch(&rs->can_receive, pipe_receive_fd(rs->pipe), LOOP_READ);
	*ret_receipts = rs;
	return 0;
}

void receipts_stop(struct receipts *rs)
{
	loop_io_stop(&rs->can_receive);
}

void receipts_free(struct receipts *rs)
{
	if (!rs)
		return;
	receipts_stop(rs);
	pipe_close(rs->pipe);
	free(rs);
}
