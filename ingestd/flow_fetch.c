#include "ingestd/flow_steps.h"

/* System */
#include <inttypes.h>
#include <stdio.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/control.h"
#include "ingestd/seals.h"
#include "ingestd/verdicts.h"

#define EVENT_EVERY_MS 200

/* A part of content that nothing identifies: nobody could tell whether what a server has now goes on with it. */
static bool is_of_no_use(const struct ingest *in)
{
	const struct record *record = &in->record;

	return in->offset > 0 && !record->has_expected && record->validator[0] == '\0' && !step_is_complete(in) &&
	       strncmp(record->source, "http", 4) == 0;
}

int step_drop_what_is_of_no_use(struct task *t)
{
	if (!is_of_no_use(t->in))
		return 0;
	log_with(LOG_LEVEL_NOTICE, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
		 "transfer '%s' starts over: its server gave no validator, so nothing tells whether the %" PRIu64
		 " bytes that are there still belong to its content",
		 t->ref, t->in->offset);
	count_add(COUNT_STARTED_OVER, 1);
	int r = ingest_truncate(t->in);
	task_apply_asked(t);
	return r;
}

/* Take what the server says about the content. False: it contradicts what is known, and the task was dealt with. */
static bool learn(struct desk *desk, struct task *t, const struct message *m)
{
	struct reason why;

	switch (verdict_learn(t, m, &why)) {
	case LEARN_OK:
		return true;
	case LEARN_CHANGED:
		step_start_over(desk, t, FAIL_CHANGED, why.text);
		return false;
	case LEARN_WRONG:
		break;
	}
	step_fail(desk, t, FAIL_BAD_DATA, why.text);
	return false;
}

/* What the tag names is here already, or is ordered by its digest from now on. */
static void go_on_resolved(struct desk *desk, struct task *t)
{
	const struct digest digest = t->in->record.expected;
	uint64_t size;

	if (!desk_is_stored(desk, &digest, &size)) {
		flow_order(desk, t);
		return;
	}
	t->in->record.size = size;
	step_committed(desk, t, &digest);
}

void flow_resolved(struct desk *desk, struct task *t, const struct message *m)
{
	struct record *record = &t->in->record;
	struct digest digest;
	struct reason why;

	t->heard_ms = clock_mono_ms();
	t->until_s = 0;
	task_note(t, NULL);
	if (digest_parse(m->digest, &digest, &why) < 0) {
		step_fail(desk, t, FAIL_BAD_DATA, why.text);
		return;
	}
	bool is_other = record->has_expected && !digest_eq(&record->expected, &digest);
	if (t->in->offset > 0 && (is_other || ingest_set_alg(t->in, digest.alg) < 0)) {
		step_start_over(desk, t, FAIL_CHANGED, "the tag names another manifest than before");
		return;
	}
	(void)ingest_set_alg(t->in, digest.alg);
	record->expected = digest;
	record->has_expected = true;
	(void)snprintf(record->media_type, sizeof(record->media_type), "%.*s", SPAN_ARG(m->media_type));
	t->resolved = true;
	flow_when_idle(desk, t, go_on_resolved);
}

void flow_opened(struct desk *desk, struct task *t, const struct message *m)
{
	struct reason why;
	struct ingest *in = t->in;

	t->heard_ms = clock_mono_ms();
	t->until_s = 0;
	task_note(t, NULL);
	if (m->offset != in->offset) {
		flow_order(desk, t);
		return;
	}
	if (!learn(desk, t, m))
		return;
	t->resolved = t->in->record.has_expected;
	if (!verdict_space(in, &why)) {
		flow_wait_for_space(desk, t, why.text);
		return;
	}
	control_publish(desk->control, t);
	if (step_wants_reserve(t))
		step_submit(desk, t, SYNC_RESERVE, NULL);
}

static void publish_progress(struct desk *desk, struct task *t, uint64_t now_ms)
{
	if (now_ms - t->event_ms < EVENT_EVERY_MS)
		return;
	uint64_t rate = (t->in->offset - t->event_offset) * 1000 / (now_ms - t->event_ms);
	t->rate = t->rate == 0 ? rate : (3 * t->rate + rate) / 4;
	t->event_ms = now_ms;
	t->event_offset = t->in->offset;
	t->updated_s = clock_wall_s();
	control_publish(desk->control, t);
}

void step_checkpoint_if_due(struct desk *desk, struct task *t, uint64_t now_ms)
{
	uint64_t fresh = t->in->offset - t->in->durable_offset;

	if (!t->syncing && fresh > 0 &&
	    (fresh >= desk->settings->checkpoint_bytes ||
	     now_ms - t->checkpoint_ms >= desk->settings->checkpoint_interval_ms))
		step_submit(desk, t, SYNC_CHECKPOINT, NULL);
}

void flow_chunk(struct desk *desk, struct task *t, const struct message *m)
{
	struct ingest *in = t->in;
	uint64_t now_ms = clock_mono_ms();
	size_t accepted = 0;

	t->heard_ms = now_ms;
	t->until_s = 0;
	count_add(COUNT_RECEIVED_BYTES, m->payload.len);
	if (m->offset < in->offset) {
		count_add(COUNT_DUPLICATE_BYTES, m->payload.len);
		return;
	}
	if (m->offset > in->offset) {
		count_add(COUNT_GAPS, 1);
		log_debug("transfer '%s' has a gap at %" PRIu64, t->ref, in->offset);
		flow_order(desk, t);
		return;
	}
	if (in->record.size != SIZE_UNKNOWN && m->payload.len > in->record.size - in->offset) {
		step_fail(desk, t, FAIL_BAD_DATA, "the content goes on past its size");
		return;
	}
	int r = ingest_append(in, m->payload.data, m->payload.len, &accepted);
	count_add(COUNT_WRITTEN_BYTES, accepted);
	if (r < 0) {
		step_io_trouble(desk, t, r, "write to", false);
		return;
	}
	publish_progress(desk, t, now_ms);
	if (step_is_complete(in))
		flow_when_idle(desk, t, step_complete);
	else
		step_checkpoint_if_due(desk, t, now_ms);
}

void flow_end(struct desk *desk, struct task *t, const struct message *m)
{
	struct ingest *in = t->in;

	t->heard_ms = clock_mono_ms();
	if (m->size > in->offset) {
		flow_order(desk, t);
		return;
	}
	if (in->record.size == SIZE_UNKNOWN)
		in->record.size = m->size;
	flow_when_idle(desk, t, step_complete);
}

void flow_fail(struct desk *desk, struct task *t, const struct message *m)
{
	char text[TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	if (m->fail_class == FAIL_CHANGED)
		step_start_over(desk, t, FAIL_CHANGED, text);
	else
		step_fail(desk, t, m->fail_class == FAIL_NONE ? FAIL_AGAIN : (enum fail_class)m->fail_class, text);
}

void flow_beat(struct desk *desk, struct task *t, const struct message *m)
{
	char text[TEXT_MAX + 1];
	bool news = m->until_s != t->until_s;

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	t->heard_ms = clock_mono_ms();
	t->until_s = m->until_s;
	news = news || strcmp(text, t->note ? t->note : "") != 0;
	if (!news)
		return;
	task_note(t, text);
	if (text[0] != '\0')
		log_with(LOG_LEVEL_INFO, &(struct log_fields){.ref = t->ref, .bytes = t->in->offset},
			 "transfer '%s' at %" PRIu64 ": %s", t->ref, t->in->offset, text);
	control_publish(desk->control, t);
}

static void tick_fetching(struct desk *desk, struct task *t, uint64_t now_ms)
{
	if (now_ms - t->heard_ms >= desk->settings->lease_ms) {
		log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = t->ref},
			 "transfer '%s' is silent: ordering it again", t->ref);
		count_add(COUNT_SILENT, 1);
		flow_order(desk, t);
		return;
	}
	step_checkpoint_if_due(desk, t, now_ms);
}

void flow_tick(struct desk *desk, struct task *t, uint64_t now_ms)
{
	if (t->state == TRANSFER_FETCHING)
		tick_fetching(desk, t, now_ms);
	else if (t->state == TRANSFER_SEALED && !t->syncing && now_ms - t->heard_ms >= desk->settings->lease_ms) {
		t->seal_due = true;
		t->heard_ms = now_ms;
		seals_flush(desk->seals);
	} else if (t->space_wait) {
		flow_space_tick(desk, t, now_ms);
	} else if (t->lock_wait) {
		flow_set_state(desk, t, TRANSFER_QUEUED);
		desk_schedule(desk);
	}
}

/* The bytes are here and commitd saw something else in their place, or an older seal: once more, from the check on. */
static void seal_again(struct desk *desk, struct task *t)
{
	t->resealed = true;
	t->seal_due = false;
	step_complete(desk, t);
}

void flow_rejected(struct desk *desk, struct task *t, const struct message *m)
{
	char text[TEXT_MAX + 1];

	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m->text));
	if (m->fail_class == FAIL_SPACE)
		flow_wait_for_space(desk, t, text);
	else if (m->fail_class == FAIL_MISSING && !t->in->is_moved && !t->resealed)
		seal_again(desk, t);
	else if (m->fail_class == FAIL_BAD_DATA || m->fail_class == FAIL_MISSING)
		step_start_over(desk, t, FAIL_BAD_DATA, text);
	else
		step_fail(desk, t, (enum fail_class)m->fail_class, text);
}
