/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/receipts.h"

/* Base */
#include "common/base/log.h"

static void log_outcome(const struct receipt *r)
{
	const struct commit *c = r->commit;
	/* Both are terminated: they belong to a pending seal. */
	const char *ref = (const char *)r->ref.data, *digest = (const char *)r->digest.data;
	const struct log_fields about = {.ref = ref, .digest = digest, .bytes = c->size, .error = c->error};

	if (c->step == COMMIT_DONE)
		log_with(LOG_LEVEL_INFO, &about, "committed '%s' %llu bytes%s%s", digest, (unsigned long long)c->size,
			 c->was_read ? ", read back" : "", c->found ? ", it had its name already" : "");
	else
		log_with(LOG_LEVEL_WARNING, &about, "rejected '%s': %s", ref, c->why.text);
}

static enum counter rejected_as(enum fail_class fail_class)
{
	switch (fail_class) {
	case FAIL_BAD_DATA:
		return COUNT_REJECTED_DATA;
	case FAIL_MISSING:
		return COUNT_REJECTED_MISSING;
	case FAIL_IO:
		return COUNT_REJECTED_IO;
	case FAIL_SPACE:
		return COUNT_REJECTED_SPACE;
	default:
		return COUNT_REJECTED_OTHER;
	}
}

static void count_outcome(const struct commit *c)
{
	if (c->step == COMMIT_DONE) {
		count_add(COUNT_COMMITS, 1);
		count_add(COUNT_COMMITTED_BYTES, c->size);
	} else {
		count_add(rejected_as(c->fail_class), 1);
	}
}

void receipts_init(struct receipts *rs, void (*gone)(void *self, struct receipt *r), void *self)
{
	*rs = (struct receipts){.gone = gone, .self = self};
	STAILQ_INIT(&rs->unsent);
}

void receipts_add(struct receipts *rs, struct receipt *r)
{
	log_outcome(r);
	count_outcome(r->commit);
	STAILQ_INSERT_TAIL(&rs->unsent, r, queue);
}

static int receipt_send(const struct receipt *r, struct link *l)
{
	const struct commit *c = r->commit;
	struct message m = {.type = MSG_COMMITTED, .ref = r->ref, .digest = r->digest};

	if (c->step == COMMIT_REJECTED) {
		m.type = MSG_REJECTED;
		m.fail_class = (uint8_t)c->fail_class;
		m.text = span_str(c->why.text);
	}
	return link_send(l, &m);
}

static void remove_first(struct receipts *rs)
{
	struct receipt *r = STAILQ_FIRST(&rs->unsent);

	STAILQ_REMOVE_HEAD(&rs->unsent, queue);
	rs->gone(rs->self, r);
}

void receipts_flush(struct receipts *rs, struct link *l)
{
	while (!STAILQ_EMPTY(&rs->unsent) && receipt_send(STAILQ_FIRST(&rs->unsent), l) == 0)
		remove_first(rs);
}

void receipts_drop(struct receipts *rs)
{
	while (!STAILQ_EMPTY(&rs->unsent))
		remove_first(rs);
}

void receipts_count(const struct receipts *rs)
{
	const struct receipt *r;
	uint64_t unsent = 0;

	STAILQ_FOREACH(r, &rs->unsent, queue)
	unsent++;
	count_set(COUNT_BACKLOG_RECEIPTS, unsent);
}
