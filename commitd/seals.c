/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/seals.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <sys/queue.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/link.h"

/* Own */
#include "commitd/commit.h"
#include "commitd/receipts.h"

#define RECEIVE_TURN_MAX 256 /* received in one turn, before other events get their turn */

/*
 * A pending seal, from its arrival until the pipe has accepted its receipt. It is in `waiting` until its commit joins a
 * batch; then the batch or a reader has it; and its receipt is in `receipts` until it is sent.
 */
struct job {
	TAILQ_ENTRY(job) in_hand;
	TAILQ_ENTRY(job) link; /* in `waiting` */
	struct seals *seals;
	struct work read; /* used by the reader */
	uint64_t read_ms; /* when that began */
	struct commit commit;
	struct receipt receipt;
	char digest_text[DIGEST_TEXT_SIZE];
	size_t ref_len;
	char ref[]; /* terminated */
};

TAILQ_HEAD(job_list, job);

struct seals {
	struct seals_env env;
	struct link *link;
	struct receipts receipts;
	struct workers *readers;
	struct job_list in_hand;
	struct job_list waiting;
	size_t in_hand_len;
	unsigned reading;  /* jobs that a reader has */
	atomic_bool stop;  /* checked by the readers */
	struct work batch; /* the committer's while batch_len > 0 */
	size_t batch_len;
	uint64_t batch_ms; /* when it began */
	struct job *batch_jobs[COMMIT_BATCH_MAX];
};

static void batch_start(struct seals *s);

static struct span job_ref(const struct job *j)
{
	return span_of(j->ref, j->ref_len);
}

static void job_drop(struct job *j)
{
	struct seals *s = j->seals;
	TAILQ_REMOVE(&s->in_hand, j, in_hand);
	s->in_hand_len--;
	commit_release(&j->commit);
	free(j);
}

void seals_count(const struct seals *s)
{
	receipts_count(&s->receipts);
	count_set(COUNT_SEALS_IN_HAND, s->in_hand_len);
	count_set(COUNT_PEERS_SEALS, link_peers_in(s->link));
	count_set(COUNT_COMMITD_SAW_INGESTD, link_restarts(s->link));
}

static void on_receipt_gone(void *self, struct receipt *r)
{
	(void)self;
	job_drop((struct job *)((char *)r - offsetof(struct job, receipt)));
}

/* The commit is done or rejected. */
static void job_answer(struct job *j)
{
	receipts_add(&j->seals->receipts, &j->receipt);
}

/* Send as many receipts as the pipe accepts; while many cannot be sent, receive no more seals. */
static void go_on(struct seals *s)
{
	receipts_flush(&s->receipts, s->link);
	batch_start(s);
}

static void read_run(struct work *w)
{
	struct job *j = (struct job *)((char *)w - offsetof(struct job, read));
	commit_read_back(j->seals->env.layout, &j->commit, &j->seals->stop);
}

static void read_done(struct work *w)
{
	struct job *j = (struct job *)((char *)w - offsetof(struct job, read));
	struct seals *s = j->seals;
	s->reading--;
	count_time(COUNT_READ_BACK_TIME, clock_mono_ms() - j->read_ms);
	if (j->commit.was_read)
		count_add(COUNT_READ_BACK_BYTES, j->commit.size);
	if (j->commit.step == COMMIT_REJECTED)
		job_answer(j);
	else
		TAILQ_INSERT_TAIL(&s->waiting, j, link);
	go_on(s);
}

static void read_start(struct job *j)
{
	j->read = (struct work){.run = read_run, .done = read_done};
	j->seals->reading++;
	j->read_ms = clock_mono_ms();
	workers_submit(j->seals->readers, &j->read);
}

static void batch_run(struct work *w)
{
	struct seals *s = (struct seals *)((char *)w - offsetof(struct seals, batch));
	struct commit *commits[COMMIT_BATCH_MAX];
	for (size_t i = 0; i < s->batch_len; i++) {
		commits[i] = &s->batch_jobs[i]->commit;
		pins_add(upkeep_pins(s->env.upkeep), &commits[i]->digest); /* before it may be found to be stored */
	}
	commit_batch(s->env.layout, commits, s->batch_len);
	for (size_t i = 0; i < s->batch_len; i++)
		if (commits[i]->step == COMMIT_DONE)
			leases_committed(upkeep_leases(s->env.upkeep), job_ref(s->batch_jobs[i]), &commits[i]->digest);
}

static void batch_done(struct work *w)
{
	struct seals *s = (struct seals *)((char *)w - offsetof(struct seals, batch));
	for (size_t i = 0; i < s->batch_len; i++) {
		struct job *j = s->batch_jobs[i];
		if (j->commit.step == COMMIT_TO_READ)
			read_start(j);
		else
			job_answer(j);
	}
	s->batch_len = 0;
	count_time(COUNT_BATCH_TIME, clock_mono_ms() - s->batch_ms);
	go_on(s);
}

/* When stopping: drop what has not started or cannot be sent, and call `idle` once nothing is pending. */
static void wind_down(struct seals *s)
{
	struct job *j;
	while ((j = TAILQ_FIRST(&s->waiting))) {
		TAILQ_REMOVE(&s->waiting, j, link);
		job_drop(j);
	}
	receipts_drop(&s->receipts);
	if (s->batch_len == 0 && s->reading == 0)
		s->env.idle(s->env.self);
}

/* All seals that wait when the committer is free form one batch: they share its waits for the disk. */
static void batch_start(struct seals *s)
{
	if (atomic_load(&s->stop)) {
		wind_down(s);
		return;
	}
	if (s->in_hand_len < SEALS_IN_HAND_MAX)
		link_resume(s->link);
	if (s->batch_len > 0)
		return;
	struct job *j;
	while (s->batch_len < COMMIT_BATCH_MAX && (j = TAILQ_FIRST(&s->waiting))) {
		TAILQ_REMOVE(&s->waiting, j, link);
		s->batch_jobs[s->batch_len++] = j;
	}
	if (s->batch_len > 0) {
		s->batch_ms = clock_mono_ms();
		s->batch = (struct work){.run = batch_run, .done = batch_done};
		workers_submit(s->env.committer, &s->batch);
	}
}

/* ingestd may repeat a seal; the pending one answers for all. */
static bool is_in_hand(const struct seals *s, const struct message *m)
{
	const struct job *j;
	TAILQ_FOREACH(j, &s->in_hand, in_hand) {
		if (span_eq(job_ref(j), m->ref) && span_eq(span_str(j->digest_text), m->digest))
			return true;
	}
	return false;
}

/* 0: pending. -EINVAL, -ENOMEM: it is refused. */
static int take_seal(struct seals *s, const struct message *m, struct reason *why)
{
	struct digest digest;
	if (m->size == SIZE_UNKNOWN) {
		reason_set(why, "a seal without a size");
		return -EINVAL;
	}
	if (digest_parse(m->digest, &digest, why) < 0)
		return -EINVAL;
	if (is_in_hand(s, m))
		return 0;
	struct job *j = calloc(1, sizeof(*j) + m->ref.len + 1);
	if (!j) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	j->seals = s;
	j->ref_len = m->ref.len;
	memcpy(j->ref, m->ref.data, m->ref.len);
	digest_format(&digest, j->digest_text);
	commit_init(&j->commit, m->ref, &digest, m->size, m->provenance != 0 || s->env.verify_always);
	commit_bind(&j->commit, m->ino, m->mtime_ns);
	j->receipt = (struct receipt){.ref = job_ref(j), .digest = span_str(j->digest_text), .commit = &j->commit};
	TAILQ_INSERT_TAIL(&s->in_hand, j, in_hand);
	TAILQ_INSERT_TAIL(&s->waiting, j, link);
	s->in_hand_len++;
	return 0;
}

static bool on_message(void *self, const struct message *m)
{
	struct seals *s = self;
	struct reason why;
	if (m->type != MSG_SEALED)
		return false;
	if (take_seal(s, m, &why) < 0)
		link_refuse(s->link, why.text);
	if (s->in_hand_len >= SEALS_IN_HAND_MAX)
		link_pause(s->link);
	return true;
}

/* It sends SEALED again for whatever has no receipt. */
static void on_hello(void *self, bool is_new)
{
	const struct seals *s = self;
	if (is_new)
		log_debug("a new ingestd: %016llx", (unsigned long long)link_peer(s->link));
}

static void on_flush(void *self)
{
	struct seals *s = self;
	receipts_flush(&s->receipts, s->link);
	batch_start(s);
}

static void on_turn(void *self)
{
	batch_start(self);
}

static int open_parts(struct seals *s)
{
	static const struct link_hooks hooks = {
	    .take = on_message, .hello = on_hello, .flush = on_flush, .turn = on_turn};
	const struct link_env env = {
	    .loop = s->env.loop,
	    .runtime_dir = s->env.runtime_dir,
	    .in = PIPE_SEALS,
	    .out = PIPE_RECEIPTS,
	    .role = LINK_ANSWERS,
	    .incarnation = s->env.identity->incarnation,
	    .peer_name = stage_name(STAGE_INGESTD),
	    .refused = COUNT_REFUSED_SEALS,
	    .turn_max = RECEIVE_TURN_MAX,
	    .hooks = &hooks,
	    .self = s,
	};
	int r = workers_new(s->env.loop, READERS, &s->readers);
	return r < 0 ? r : link_new(&env, &s->link);
}

int seals_new(const struct seals_env *env, struct seals **ret_seals)
{
	struct seals *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->env = *env;
	TAILQ_INIT(&s->in_hand);
	TAILQ_INIT(&s->waiting);
	receipts_init(&s->receipts, on_receipt_gone, s);
	atomic_init(&s->stop, false);
	int r = open_parts(s);
	if (r < 0) {
		seals_free(s);
		return r;
	}
	*ret_seals = s;
	return 0;
}

void seals_stop(struct seals *s)
{
	atomic_store(&s->stop, true);
	link_pause(s->link);
	wind_down(s);
}

void seals_free(struct seals *s)
{
	if (!s)
		return;
	atomic_store(&s->stop, true);
	workers_free(s->readers);
	link_free(s->link);
	free(s);
}
