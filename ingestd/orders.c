/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/orders.h"

/* System */
#include <errno.h>
#include <stdlib.h>

struct orders {
	struct transfers *transfers;
	struct link *link;
};

/* A tag may have moved since an earlier request; a requested digest never changes. */
static bool is_to_be_resolved(const struct transfer *t)
{
	struct source source;
	struct digest pinned;

	return !transfer_has(t, MARK_RESOLVED) && !t->has_asked_digest &&
	       digest_parse(span_str(t->ref), &pinned, NULL) < 0 &&
	       source_parse(span_str(t->in->record.source), &source, NULL) == 0 && source.kind == SOURCE_MANIFEST &&
	       !source.reference.has_digest;
}

static int send_order(struct orders *o, struct transfer *t)
{
	char expected[DIGEST_TEXT_SIZE] = "";
	const struct record *record = &t->in->record;

	bool asks_digest = is_to_be_resolved(t);

	if (record->has_expected && !asks_digest)
		digest_format(&record->expected, expected);
	struct message m = {
	    .type = MSG_FETCH,
	    .ref = span_str(t->ref),
	    .attempt = record->attempt,
	    .source = span_str(record->source),
	    .policy = policy_bytes(t->current.policy),
	    .offset = t->in->offset,
	    .size = record->size,
	    .expected = span_str(expected),
	    .validator = span_str(record->validator),
	    .restarts = (uint8_t)(record->restarts < UINT8_MAX ? record->restarts : UINT8_MAX),
	};
	int r = link_send(o->link, &m);
	if (r < 0)
		return r;
	if (asks_digest)
		transfer_mark(t, MARK_ASKS_DIGEST);
	transfer_enter(t, PHASE_ORDERED);
	return 0;
}

void orders_flush(struct orders *o)
{
	for (size_t i = 0; o->link && i < o->transfers->len; i++) {
		struct transfer *t = o->transfers->by_ref[i];
		if (t->phase == PHASE_ORDER_DUE && send_order(o, t) < 0)
			return;
	}
}

int orders_send(struct orders *o, const struct message *m)
{
	return o->link ? link_send(o->link, m) : -EAGAIN;
}

void orders_cancel(struct orders *o, struct span ref, uint64_t attempt)
{
	struct message m = {.type = MSG_CANCEL, .ref = ref, .attempt = attempt};

	if (o->link)
		(void)link_send(o->link, &m);
}

void orders_renew(struct orders *o)
{
	for (size_t i = 0; i < o->transfers->len; i++)
		if (o->transfers->by_ref[i]->phase == PHASE_ORDERED)
			transfer_enter(o->transfers->by_ref[i], PHASE_ORDER_DUE);
}

void orders_use(struct orders *o, struct link *link)
{
	o->link = link;
}

int orders_new(struct transfers *transfers, struct orders **ret_orders)
{
	struct orders *o = calloc(1, sizeof(*o));

	if (!o)
		return -ENOMEM;
	o->transfers = transfers;
	*ret_orders = o;
	return 0;
}

void orders_free(struct orders *o)
{
	free(o);
}
