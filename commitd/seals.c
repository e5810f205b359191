#include "commitd/seals.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <sys/queue.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

/* Own */
#include "commitd/commit.h"
#include "commitd/receipts.h"

#define RECEIVE_TURN_MAX 256 /* messages taken from the pipe before others on the loop have their turn */

/*
 * A seal in hand, from its arrival until the pipe has taken its receipt. It is in `waiting` while its commit is to go
 * with the next batch, and in `answered` while its receipt is to be sent; between the two the batch or a reader has it.
 */
struct job {
	TAILQ_ENTRY(job) in_hand;
	TAILQ_ENTRY(job) link; /* in `waiting` or in `answered` */
	struct seals *seals;
	struct work read; /* the reader's */
	uint64_t read_ms; /* when that began */
	struct commit commit;
	char digest_text[DIGEST_TEXT_SIZE];
	size_t ref_len;
	char ref[]; /* terminated */
};

TAILQ_HEAD(job_list, job);

struct seals {
	struct seals_env env;
	struct pipe *pipe;
	struct receipts *receipts;
	struct workers *readers;
	struct loop_io readable;
	struct log_limit bad_limit;
	struct job_list in_hand;
	struct job_list waiting;
	struct job_list answered;
	size_t in_hand_len;
	unsigned reading;  /* jobs that a reader has */
	atomic_bool stop;  /* readers look at it */
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

static void bad_message(struct seals *s, const char *what)
{
	uint64_t held_back = 0;
	count_add(COUNT_REFUSED_SEALS, 1);
	if (log_limit_pass(&s->bad_limit, &held_back))
		log_warning("refused a message on 'seals': %s (%llu more not shown)", what,
			    (unsigned long long)held_back);
}

static void log_outcome(const struct job *j)
{
	const struct commit *c = &j->commit;
	const struct log_fields about = {.ref = j->ref, .digest = j->digest_text, .bytes = c->size, .error = c->error};
	if (c->step == COMMIT_DONE)
		log_with(LOG_LEVEL_INFO, &about, "committed '%s' %llu bytes%s%s", j->digest_text,
			 (unsigned long long)c->size, c->was_read ? ", read back" : "",
			 c->found ? ", it had its name already" : "");
	else
		log_with(LOG_LEVEL_WARNING, &about, "rejected '%s': %s", j->ref, c->why.text);
}

static void count_outcome(const struct commit *c)
{
	if (c->step == COMMIT_DONE) {
		count_add(COUNT_COMMITS, 1);
		count_add(COUNT_COMMITTED_BYTES, c->size);
		return;
	}
	switch (c->fail_class) {
	case FAIL_BAD_DATA:
		count_add(COUNT_REJECTED_DATA, 1);
		break;
	case FAIL_MISSING:
		count_add(COUNT_REJECTED_MISSING, 1);
		break;
	case FAIL_IO:
		count_add(COUNT_REJECTED_IO, 1);
		break;
	case FAIL_SPACE:
		count_add(COUNT_REJECTED_SPACE, 1);
		break;
	default:
		count_add(COUNT_REJECTED_OTHER, 1);
	}
}

void seals_count(const struct seals *s)
{
	const struct job *j;
	uint64_t unsent = 0;
	TAILQ_FOREACH(j, &s->answered, link)
	unsent++;
	count_set(COUNT_SEALS_IN_HAND, s->in_hand_len);
	count_set(COUNT_BACKLOG_RECEIPTS, unsent);
	count_set(COUNT_PEERS_SEALS, pipe_peers(s->pipe));
	count_set(COUNT_COMMITD_SAW_INGESTD, s->env.peer->restarts);
}

static int send_receipt(const struct job *j)
{
	const struct commit *c = &j->commit;
	struct message m = {.type = MSG_COMMITTED, .ref = job_ref(j), .digest = span_str(j->digest_text)};
	if (c->step == COMMIT_REJECTED) {
		m.type = MSG_REJECTED;
		m.fail_class = (uint8_t)c->fail_class;
		m.text = span_str(c->why.text);
	}
	return receipts_send(j->seals->receipts, &m);
}

/*
 * Send what the pipe takes. The rest stays in hand: no receipt is dropped, and while many cannot be sent, no more seals
 * are taken.
 */
static void send_receipts(struct seals *s)
{
	struct job *j;
	while ((j = TAILQ_FIRST(&s->answered))) {
		if (send_receipt(j) < 0) {
			receipts_wait(s->receipts);
			return;
		}
		TAILQ_REMOVE(&s->answered, j, link);
		job_drop(j);
	}
}

/* The commit is done or rejected. */
static void job_answer(struct job *j)
{
	log_outcome(j);
	count_outcome(&j->commit);
	TAILQ_INSERT_TAIL(&j->seals->answered, j, link);
}

static void on_writable(void *self)
{
	struct seals *s = self;
	send_receipts(s);
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
	send_receipts(s);
	batch_start(s);
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
	for (size_t i = 0; i < s->batch_len; i++)
		commits[i] = &s->batch_jobs[i]->commit;
	commit_batch(s->env.layout, commits, s->batch_len);
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
	send_receipts(s);
	batch_start(s);
}

static void drop_list(struct job_list *list)
{
	struct job *j;
	while ((j = TAILQ_FIRST(list))) {
		TAILQ_REMOVE(list, j, link);
		job_drop(j);
	}
}

/* Stopping: drop what nobody has begun or nobody takes, and tell when nothing is left in anybody's hands. */
static void wind_down(struct seals *s)
{
	drop_list(&s->waiting);
	drop_list(&s->answered);
	if (s->batch_len == 0 && s->reading == 0)
		s->env.idle(s->env.self);
}

/* All that wait when the committer is free go together: they share its waits for the disk. */
static void batch_start(struct seals *s)
{
	if (atomic_load(&s->stop)) {
		wind_down(s);
		return;
	}
	if (s->in_hand_len < SEALS_IN_HAND_MAX)
		loop_io_watch(&s->readable, pipe_receive_fd(s->pipe), LOOP_READ);
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

/* ingestd repeats a seal as often as it likes; the one in hand answers for all. */
static bool is_in_hand(const struct seals *s, const struct message *m)
{
	const struct job *j;
	TAILQ_FOREACH(j, &s->in_hand, in_hand)
	{
		if (span_eq(job_ref(j), m->ref) && span_eq(span_str(j->digest_text), m->digest))
			return true;
	}
	return false;
}

static void take_seal(struct seals *s, const struct message *m)
{
	struct digest digest;
	struct reason why;
	if (m->size == SIZE_UNKNOWN || digest_parse(m->digest, &digest, &why) < 0) {
		bad_message(s, m->size == SIZE_UNKNOWN ? "a seal without a size" : why.text);
		return;
	}
	if (is_in_hand(s, m))
		return;
	struct job *j = calloc(1, sizeof(*j) + m->ref.len + 1);
	if (!j) {
		bad_message(s, "out of memory");
		return;
	}
	j->seals = s;
	j->ref_len = m->ref.len;
	memcpy(j->ref, m->ref.data, m->ref.len);
	digest_format(&digest, j->digest_text);
	commit_init(&j->commit, m->ref, &digest, m->size, m->provenance != 0 || s->env.verify_always);
	commit_bind(&j->commit, m->ino, m->mtime_ns);
	TAILQ_INSERT_TAIL(&s->in_hand, j, in_hand);
	TAILQ_INSERT_TAIL(&s->waiting, j, link);
	s->in_hand_len++;
}

static void take_message(struct seals *s, const struct message *m)
{
	if (m->type == MSG_SEALED) {
		take_seal(s, m);
	} else if (m->type == MSG_HELLO) {
		bool is_new = peer_hello(s->env.peer, m->incarnation, m->peer);
		if (is_new)
			log_debug("a new ingestd: %016llx", (unsigned long long)m->incarnation);
		receipts_greet(s->receipts);
	} else {
		bad_message(s, message_name(m->type));
	}
}

static void on_readable(void *self, unsigned events)
{
	struct seals *s = self;
	(void)events;
	for (unsigned i = 0; i < RECEIVE_TURN_MAX && s->in_hand_len < SEALS_IN_HAND_MAX; i++) {
		struct message m;
		enum decode_verdict v;
		int r = pipe_receive(s->pipe, &m, &v);
		if (r == -EBADMSG)
			bad_message(s, decode_verdict_text(v));
		else if (r < 0)
			break;
		else
			take_message(s, &m);
	}
	if (s->in_hand_len >= SEALS_IN_HAND_MAX)
		loop_io_stop(&s->readable);
	batch_start(s);
}

static int open_parts(struct seals *s)
{
	int r = workers_new(s->env.loop, READERS, &s->readers);
	if (r == 0)
		r = pipe_open(s->env.runtime_dir, PIPE_SEALS, PIPE_PULL, &s->pipe);
	if (r == 0)
		r = receipts_new(s->env.loop, s->env.runtime_dir, s->env.peer, on_writable, s, &s->receipts);
	return r;
}

int seals_new(const struct seals_env *env, struct seals **ret_seals)
{
	struct seals *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->env = *env;
	TAILQ_INIT(&s->in_hand);
	TAILQ_INIT(&s->waiting);
	TAILQ_INIT(&s->answered);
	atomic_init(&s->stop, false);
	int r = open_parts(s);
	if (r < 0) {
		seals_free(s);
		return r;
	}
	loop_io_init(&s->readable, env->loop, on_readable, s);
	loop_io_watch(&s->readable, pipe_receive_fd(s->pipe), LOOP_READ);
	*ret_seals = s;
	return 0;
}

void seals_stop(struct seals *s)
{
	atomic_store(&s->stop, true);
	loop_io_stop(&s->readable);
	wind_down(s);
}

void seals_free(struct seals *s)
{
	if (!s)
		return;
	atomic_store(&s->stop, true);
	loop_io_stop(&s->readable);
	workers_free(s->readers);
	receipts_free(s->receipts);
	pipe_close(s->pipe);
	free(s);
}
