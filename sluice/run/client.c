/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/client.h"

/* System */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sysexits.h>

/* Base */
#include "common/base/array.h"
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/ctl_client.h"

/* Sluice */
#include "sluice/run/interrupt.h"

/*
 * How long to wait for an answer before repeating the request, on a new connection: long enough for a busy stage,
 * because a repeated GET restarts a transfer that has failed in between.
 */
#define ASK_MIN_MS    1000u
#define ASK_MAX_MS    1600u
#define NOTE_AFTER_MS 1500u

/* How often to check for a stage that is down; often at first, because it is about to start. */
#define LOOK_MIN_MS 20u
#define LOOK_MAX_MS 200u

#define KEPT_MAX    4096u /* events kept; more are dropped */

/* An event that arrived before an answer. */
struct event {
	STAILQ_ENTRY(event) link;
	size_t len;
	uint8_t bytes[];
};

STAILQ_HEAD(event_queue, event);

struct client {
	struct client_options options;
	struct ctl_client *ctl[STAGE_COMMITD + 1]; /* NULL: not connected */
	bool noted[STAGE_COMMITD + 1];             /* that its protocol versions differ from ours */
	struct ctl_client *events;
	bool missed;          /* events may have been missed since client_missed() was called */
	uint64_t incarnation; /* ingestd's */
	char **refs;          /* owned: the refs that we follow */
	size_t refs_len, refs_room;
	struct event_queue kept;
	size_t kept_len;
	struct event *told; /* the last event, to which the caller's views refer */
};

/*
 * The store in the PONG must be ours. Compared by device and inode, because two paths may be one directory, and a path
 * may have been replaced.
 */
static int check_store(const struct client *c, enum stage_id stage, const struct message *pong, struct reason *why)
{
	struct stat st;

	if (stat(c->options.store, &st) == 0 && st.st_dev == pong->dev && st.st_ino == pong->ino)
		return 0;
	reason_set(why, "%s on '%s' serves the store '%.*s' and not '%s'", stage_name(stage), c->options.runtime_dir,
		   SPAN_ARG(pong->text), c->options.store);
	return EX_CONFIG;
}

static void disconnect(struct client *c, enum stage_id stage)
{
	ctl_disconnect(c->ctl[stage]);
	c->ctl[stage] = NULL;
}

/* Once for each stage: a command reconnects as often as it has to. */
static void note_versions(struct client *c, enum stage_id stage, const struct message *pong)
{
	struct reason words;

	if (c->noted[stage] || !c->options.says_versions ||
	    stage_talk_of(pong, stage_name(stage), "this command", &words) != TALK_NEIGHBOUR)
		return;
	log_notice("%s: continuing with version %u", words.text, (unsigned)stage_version_for(pong));
	c->noted[stage] = true;
}

/* An exit code for what no second try changes; else `r`. */
static int code_of_connection(int r)
{
	switch (r) {
	case -EACCES:
		return EX_NOPERM;
	case -ENAMETOOLONG:
		return EX_CONFIG;
	case -EPROTO:
		return EX_PROTOCOL;
	default:
		return r;
	}
}

/*
 * Connect and check the stage's identity. 0; -errno: try again; an exit code with a reason: never. `ret_incarnation`
 * may be NULL.
 */
static int connect_to(struct client *c, enum stage_id stage, unsigned wait_ms, uint64_t *ret_incarnation,
		      struct reason *why)
{
	struct message pong;
	int r;

	if (c->ctl[stage])
		r = ctl_ping(c->ctl[stage], stage, wait_ms, &pong, why);
	else
		r = ctl_open(c->options.runtime_dir, stage, wait_ms, &c->ctl[stage], &pong, why);
	int code = r == 0 ? check_store(c, stage, &pong, why) : code_of_connection(r);
	if (code == 0)
		note_versions(c, stage, &pong);
	if (code == 0 && ret_incarnation)
		*ret_incarnation = pong.incarnation;
	if (code != 0)
		disconnect(c, stage);
	return code;
}

/* ── events: only hints, so failures are retried with the next subscription ── */

static bool follows(const struct client *c, struct span ref)
{
	for (size_t i = 0; i < c->refs_len; i++)
		if (span_eq(span_str(c->refs[i]), ref))
			return true;
	return false;
}

static void let_go(struct client *c)
{
	ctl_disconnect(c->events);
	c->events = NULL;
	c->missed = true;
}

static void keep(struct client *c, const struct message *m)
{
	size_t len = message_head_size(m);
	struct event *e = c->kept_len < KEPT_MAX ? malloc(sizeof(*e) + len) : NULL;

	c->missed = c->missed || !e;
	if (!e)
		return;
	e->len = message_encode_head(m, e->bytes);
	STAILQ_INSERT_TAIL(&c->kept, e, link);
	c->kept_len++;
}

/* Read a message of that connection, waiting up to `wait_ms` for it. An event is kept. 0 or -errno. */
static int read_one(struct client *c, unsigned wait_ms, bool *ret_ok)
{
	struct message m;
	int r = ctl_receive(c->events, wait_ms, &m);

	if (r < 0)
		return r;
	if (m.type == MSG_RECORD)
		keep(c, &m);
	*ret_ok = m.type == MSG_OK;
	return m.type == MSG_OK || m.type == MSG_RECORD ? 0 : -EPIPE;
}

/* Once it is answered, no more events are missed. */
static void subscribe(struct client *c, struct span ref)
{
	const struct message m = {.type = MSG_SUBSCRIBE, .ref = ref};
	bool ok = false;

	if (!c->events)
		return;
	int r = ctl_send(c->events, &m, ASK_MIN_MS);
	while (r == 0 && !ok)
		r = read_one(c, ASK_MIN_MS, &ok);
	if (r < 0)
		let_go(c);
}

/* A new connection subscribes to all refs of the previous one, in a version that its PONG allows. */
static void connect_events(struct client *c)
{
	struct message pong;
	struct reason why;

	if (c->events || ctl_open(c->options.runtime_dir, STAGE_INGESTD, ASK_MIN_MS, &c->events, &pong, &why) < 0)
		return;
	c->missed = c->missed || c->refs_len > 0;
	for (size_t i = 0; c->events && i < c->refs_len; i++)
		subscribe(c, span_str(c->refs[i]));
}

/* Read what has arrived, so that many requests at once do not look like a client that does not read. */
static void drain(struct client *c)
{
	bool ok;
	int r = c->events ? 0 : -EAGAIN;

	while (r == 0)
		r = read_one(c, 0, &ok);
	if (r != -EAGAIN)
		let_go(c);
}

/* Subscribe before the request, so that no event is missed. */
static void client_follow(struct client *c, struct span ref)
{
	if (follows(c, ref))
		return;
	char **refs = array_room(c->refs, c->refs_len, &c->refs_room, sizeof(*refs));
	char *copy = refs ? strndup((const char *)ref.data, ref.len) : NULL;
	if (refs)
		c->refs = refs;
	if (!copy)
		return;
	connect_events(c);
	c->refs[c->refs_len++] = copy;
	subscribe(c, span_str(copy));
}

/* ── asking until there is an answer ── */

/* How much longer to try. */
struct patience {
	uint64_t begin_ms;
	unsigned look_ms, ask_ms;
	bool noted;
};

static void note_wait(struct client *c, enum stage_id stage, struct patience *p, uint64_t silent_ms)
{
	if (p->noted || silent_ms < NOTE_AFTER_MS || !c->options.note)
		return;
	c->options.note(c->options.self, stage == STAGE_INGESTD ? "waiting for ingestd" : "waiting for commitd");
	p->noted = true;
}

/* Something failed with `r`. 0: try again, now. Else an exit code with a reason. */
static int try_again(struct client *c, enum stage_id stage, struct patience *p, int r, struct reason *why)
{
	uint64_t silent_ms = clock_mono_ms() - p->begin_ms;

	if (interrupt_seen()) {
		reason_set(why, "interrupted");
		return EXIT_INTERRUPTED;
	}
	int code = c->options.stages ? stages_check(c->options.stages, why) : 0;
	if (code != 0)
		return code;
	if (silent_ms >= c->options.patience_ms) {
		reason_set(why, "%s does not answer on '%s'", stage_name(stage), c->options.runtime_dir);
		return EX_TEMPFAIL;
	}
	note_wait(c, stage, p, silent_ms);
	if (r == -ETIMEDOUT) {
		p->ask_ms = p->ask_ms < ASK_MAX_MS ? 2 * p->ask_ms : ASK_MAX_MS;
		return 0;
	}
	clock_pause(p->look_ms);
	p->look_ms = 2 * p->look_ms < LOOK_MAX_MS ? 2 * p->look_ms : LOOK_MAX_MS;
	return 0;
}

/* Whether a stage that takes its time to answer is there: it answers a PING on another connection. */
static bool lives(const struct client *c, enum stage_id stage)
{
	struct ctl_client *other = NULL;
	struct message pong;
	bool is_there = ctl_open(c->options.runtime_dir, stage, ASK_MAX_MS, &other, &pong, NULL) == 0;

	ctl_disconnect(other);
	return is_there;
}

int client_ask(struct client *c, enum stage_id stage, const struct message *request, struct message *ret_answer,
	       struct reason *why)
{
	struct patience p = {.begin_ms = clock_mono_ms(), .look_ms = LOOK_MIN_MS, .ask_ms = ASK_MIN_MS};
	bool asked = false;

	if (request->type == MSG_GET)
		client_follow(c, request->ref);
	drain(c);
	for (;;) {
		int r = c->ctl[stage] ? 0 : connect_to(c, stage, p.ask_ms, NULL, why);
		if (r > 0)
			return r;
		if (r == 0 && !asked) {
			r = ctl_send(c->ctl[stage], request, p.ask_ms);
			asked = r == 0;
		}
		if (r == 0)
			r = ctl_await(c->ctl[stage], p.ask_ms, ret_answer);
		if (r == 0)
			return 0;
		/* A slow stage is not asked again, which would make it slower: as long as it lives, it answers. */
		asked = asked && r == -ETIMEDOUT;
		if (asked && clock_mono_ms() - p.begin_ms >= c->options.patience_ms && lives(c, stage))
			p.begin_ms = clock_mono_ms();
		int code = try_again(c, stage, &p, r, why);
		if (!asked || code != 0)
			disconnect(c, stage);
		if (code != 0)
			return code;
	}
}

int client_try(struct client *c, enum stage_id stage, const struct message *request, struct message *ret_answer)
{
	struct reason why;
	int r = c->ctl[stage] ? 0 : connect_to(c, stage, ASK_MIN_MS, NULL, &why);

	if (r == 0)
		r = ctl_ask(c->ctl[stage], request, ASK_MIN_MS, ret_answer);
	if (r != 0)
		disconnect(c, stage);
	return r > 0 ? -EPROTO : r;
}

int client_demand(struct client *c, enum stage_id stage, const struct message *request, enum message_type wanted,
		  struct message *ret_answer, struct reason *why)
{
	int code = client_ask(c, stage, request, ret_answer, why);

	if (code != 0 || ret_answer->type == wanted)
		return code;
	if (ret_answer->type == MSG_ERROR) {
		reason_set(why, "%.*s", SPAN_ARG(ret_answer->text));
		return fail_exit_code((enum fail_class)ret_answer->fail_class);
	}
	reason_set(why, "%s answers %s to %s", stage_name(stage), message_name(ret_answer->type),
		   message_name(request->type));
	return EX_PROTOCOL;
}

/* Wait until the stage identifies itself. */
static int meet(struct client *c, enum stage_id stage, uint64_t *ret_incarnation, struct reason *why)
{
	struct patience p = {.begin_ms = clock_mono_ms(), .look_ms = LOOK_MIN_MS, .ask_ms = ASK_MIN_MS};

	for (;;) {
		int r = connect_to(c, stage, p.ask_ms, ret_incarnation, why);
		if (r >= 0)
			return r;
		int code = try_again(c, stage, &p, r, why);
		if (code != 0)
			return code;
	}
}

int client_check_incarnation(struct client *c, bool *ret_changed, struct reason *why)
{
	uint64_t incarnation;
	int code = meet(c, STAGE_INGESTD, &incarnation, why);

	if (code != 0)
		return code;
	connect_events(c); /* so that no later event is missed */
	*ret_changed = incarnation != c->incarnation;
	c->incarnation = incarnation;
	return 0;
}

bool client_missed(struct client *c)
{
	bool missed = c->missed;

	c->missed = false;
	return missed;
}

int client_open(const struct client_options *options, struct client **ret_client, struct reason *why)
{
	struct client *c = calloc(1, sizeof(*c));
	uint64_t other;

	if (!c) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	c->options = *options;
	STAILQ_INIT(&c->kept);
	int code = meet(c, STAGE_INGESTD, &c->incarnation, why);
	if (code == 0 && !options->ingestd_alone)
		code = meet(c, STAGE_COMMITD, &other, why);
	if (code != 0) {
		client_close(c);
		return code;
	}
	*ret_client = c;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	for (size_t i = 0; i <= STAGE_COMMITD; i++)
		ctl_disconnect(c->ctl[i]);
	ctl_disconnect(c->events);
	do {
		free(c->told);
		c->told = STAILQ_FIRST(&c->kept);
		if (c->told)
			STAILQ_REMOVE_HEAD(&c->kept, link);
	} while (c->told);
	for (size_t i = 0; i < c->refs_len; i++)
		free(c->refs[i]);
	free(c->refs);
	free(c);
}

/* Return an event that was kept. False: there is none. */
static bool take_kept(struct client *c, struct message *ret_event)
{
	free(c->told);
	c->told = STAILQ_FIRST(&c->kept);
	if (!c->told)
		return false;
	STAILQ_REMOVE_HEAD(&c->kept, link);
	c->kept_len--;
	return message_decode(span_of(c->told->bytes, c->told->len), ret_event) == DECODE_OK;
}

bool client_event(struct client *c, unsigned wait_ms, struct message *ret_event)
{
	struct pollfd waits = {.events = POLLIN};

	if (take_kept(c, ret_event))
		return true;
	connect_events(c);
	drain(c);
	if (c->kept_len == 0) {
		waits.fd = c->events ? ctl_client_fd(c->events) : -1;
		(void)poll(&waits, 1, (int)wait_ms);
		drain(c);
	}
	return take_kept(c, ret_event);
}
