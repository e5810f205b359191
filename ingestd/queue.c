/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/queue.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

/* Base */
#include "common/base/file.h"

/* ingestd */
#include "ingestd/disk/open.h"
#include "ingestd/start.h"

void queue_run(struct flow *f)
{
	struct transfer *t;

	while (f->transfers->of_state[TRANSFER_FETCHING] < f->settings->max_active &&
	       (t = transfers_oldest(f->transfers, TRANSFER_QUEUED)) && !transfer_is_busy(t))
		start_transfer(f, t);
}

/* Keep few ingests open: one that must wait is closed, and opened again when its turn comes. */
static void queue_up(struct flow *f, struct transfer *t)
{
	transfers_to_end(f->transfers, t);
	transfer_note(t, NULL);
	flow_enter(f, t, PHASE_QUEUED);
	queue_run(f);
	if (t->phase == PHASE_QUEUED && t->in && !transfer_is_busy(t))
		flow_do(f, t, STEP_CLOSE);
}

/* Nobody may use the ref of one source to fetch content from another. */
static int check_get(const struct message *get, struct digest *ret_expected, struct reason *why)
{
	const struct digest *expected = get->expected.len > 0 ? ret_expected : NULL;
	char ref[REF_MAX + 1];
	struct digest of_ref;

	if (ref_check(get->ref, why) < 0 || (expected && digest_parse(get->expected, ret_expected, why) < 0) ||
	    ref_of_source(get->source, expected, ref, why) < 0)
		return -EINVAL;
	if (!expected && digest_parse(get->ref, &of_ref, NULL) == 0) {
		reason_set(why, "the ref '%.*s' is a digest, and none is expected", SPAN_ARG(get->ref));
		return -EINVAL;
	}
	if (span_eq(get->ref, span_str(ref)))
		return 0;
	reason_set(why, "the ref '%.*s' is not that of the source, which is '%s'", SPAN_ARG(get->ref), ref);
	return -EINVAL;
}

/* Content from 'ingestd put' that turns out to be wrong may have to be fetched after all. */
static void adopt_source(struct transfer *t, struct span source)
{
	if (t->in && t->in->record.source[0] == '\0')
		(void)snprintf(t->in->record.source, sizeof(t->in->record.source), "%.*s", SPAN_ARG(source));
}

/* Do not start what fetchd would refuse. */
static bool may_have_size(const struct message *get, struct reason *why)
{
	uint64_t max = source_size_max(get->source);

	if (get->size == SIZE_UNKNOWN || get->size <= max)
		return true;
	reason_set(why, "the content has %" PRIu64 " bytes, the limit for a manifest is %" PRIu64, get->size, max);
	return false;
}

/* The transfer of the ref, created if necessary; NULL: out of memory. */
static struct transfer *take_up(struct flow *f, const struct message *get, struct policy *policy,
				const struct digest *expected)
{
	struct transfer *t = transfers_find(f->transfers, get->ref);
	bool is_new = !t;

	if (is_new)
		t = transfers_add(f->transfers, f, get->ref);
	if (t && transfer_ask(t, get->source, policy, expected, get->size) == 0)
		return t;
	if (t && is_new)
		transfers_remove(f->transfers, t);
	return NULL;
}

/* The ingest could not be created: remove what the request added. */
static void give_up(struct flow *f, struct transfer *t, bool was_there)
{
	if (!was_there) {
		transfers_remove(f->transfers, t);
		return;
	}
	transfer_forget_sources(t);
	if (t->in)
		flow_do(f, t, STEP_CLOSE);
}

/*
 * Without a digest, whoever answers decides what the content is. So nobody gets an answer from a server that only another
 * one trusts; by a digest it makes no difference.
 */
static bool may_join(const struct transfer *t, const struct message *get, const struct policy *policy,
		     struct reason *why)
{
	if (get->expected.len > 0 || policy_trusts_as(t->current.policy, policy))
		return true;
	reason_set(why, "'%s' is being fetched with other TLS options: try again when that has ended", t->ref);
	return false;
}

int queue_get(struct flow *f, const struct message *get, struct policy *policy, struct transfer **ret_transfer,
	      uint64_t *ret_size, enum fail_class *ret_class, struct reason *why)
{
	struct digest digest, *expected = get->expected.len > 0 ? &digest : NULL;

	*ret_transfer = NULL;
	*ret_class = FAIL_USAGE;
	int r = check_get(get, &digest, why);
	if (r < 0)
		return r;
	*ret_class = FAIL_BAD_DATA;
	if (!may_have_size(get, why))
		return -EFBIG;
	/* Look here first: it may be about to be stored. */
	struct transfer *t = transfers_find(f->transfers, get->ref);
	bool was_there = t;
	if (t && transfer_is_under_way(t)) {
		*ret_class = FAIL_AGAIN;
		if (!may_join(t, get, policy, why))
			return -EAGAIN;
		adopt_source(t, get->source);
		transfer_offer(t, get->source, policy);
		flow_doubt_size(f, t, get->size);
		*ret_transfer = t;
		return 0;
	}
	if (expected && flow_is_stored(f, expected, ret_size)) {
		if (!t || t->phase != PHASE_COMMITTED) /* leftovers of an earlier try are not needed any more */
			(void)queue_abort(f, get->ref, why);
		return 0;
	}
	*ret_class = FAIL_IO;
	t = take_up(f, get, policy, expected);
	if (!t)
		return -ENOMEM;
	/* Create the ingest and its record now, so that an accepted transfer survives us. */
	r = start_open(f, t, why);
	if (r == 0) {
		queue_up(f, t);
	} else if (file_is_short(r)) { /* wait for space, even for that little */
		flow_wait_for_space(f, t, why->text);
	} else {
		*ret_class = r == -EWOULDBLOCK ? FAIL_AGAIN : FAIL_IO;
		give_up(f, t, was_there);
		return r;
	}
	*ret_transfer = t;
	return 0;
}

int queue_abort(struct flow *f, struct span ref, struct reason *why)
{
	struct transfer *t = transfers_find(f->transfers, ref);

	if (!t)
		return ingest_discard(f->home, ref, why);
	if (t->in) {
		flow_halt(f, t, STEP_REMOVE);
		return 0;
	}
	int r = t->phase == PHASE_COMMITTED ? 0 : ingest_discard(f->home, ref, why);
	if (r < 0 && r != -ENOENT)
		return r;
	flow_do(f, t, STEP_REMOVE);
	return 0;
}

int queue_reset(struct flow *f, struct span ref, struct reason *why)
{
	struct transfer *t = transfers_find(f->transfers, ref);

	reason_set(why, "no such transfer");
	if (!t || t->phase == PHASE_COMMITTED)
		return -ENOENT;
	reason_set(why, "it is complete and being committed");
	if (t->state == TRANSFER_SEALED)
		return -EBUSY;
	int r = transfer_open(t, f->home, INGEST_EXISTING, why);
	if (r < 0)
		return r;
	flow_halt(f, t, STEP_RESET);
	return 0;
}
