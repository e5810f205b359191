/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/link.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/log.h"

#define RENEW_HELLOS 20 /* HELLOs without an answer before the connections are made anew */

struct link {
	struct link_env env;
	struct pipe *in, *out;
	struct loop_io can_receive;
	struct loop_io can_send; /* watched while something is due */
	struct loop_timer call;  /* LINK_CALLS: set until greeted */
	struct loop_hook look;   /* for broken connections, or too many */
	struct log_limit bad, failed, near, crowd;
	uint64_t peer, restarts;
	struct reason stranger; /* about who said HELLO last, if we have no version in common; else empty */
	uint64_t losses;        /* of connections, as far as they were handled */
	unsigned hellos;        /* ours or the peer's that had no answer */
	bool greeted;
	bool answer_due; /* LINK_ANSWERS: a HELLO is to be sent before anything else */
	bool paused;
	bool renew_due; /* LINK_ANSWERS: there were too many connections, and the pipes could not be made anew yet */
};

void link_refuse(struct link *l, const char *what)
{
	struct reason text;

	count_add(l->env.refused, 1);
	reason_set(&text, "refused a message on '%s': %s", pipe_name_text(l->env.in), what);
	log_warning_limited(&l->bad, text.text);
}

/* ── sending ── */

static void wait_to_send(struct link *l)
{
	if (!l->renew_due)
		loop_io_watch(&l->can_send, pipe_send_fd(l->out), LOOP_READ);
}

static int hello_send(struct link *l)
{
	struct message m = {.type = MSG_HELLO, .incarnation = l->env.incarnation, .peer = l->peer};

	stage_introduce(&m);
	return pipe_send(l->out, &m);
}

/* Send the answer that is due, before anything else. 0: nothing is in the way. */
static int answer_send(struct link *l)
{
	int r = l->answer_due ? hello_send(l) : 0;

	if (r == 0 && l->answer_due) {
		l->answer_due = false;
		l->hellos = 0;
	}
	return r;
}

int link_send(struct link *l, const struct message *m)
{
	if (l->peer == 0 || (l->env.role == LINK_CALLS && !l->greeted))
		return -EAGAIN; /* its HELLO says which versions it understands, and brings a flush */
	int r = answer_send(l);

	if (r == 0)
		r = pipe_send(l->out, m);
	if (r == -EAGAIN) {
		wait_to_send(l);
	} else if (r < 0) {
		struct reason text;
		reason_set(&text, "cannot send %s to %s: %s", message_name(m->type), l->env.peer_name, strerror(-r));
		log_warning_limited(&l->failed, text.text);
	}
	return r;
}

/* Send whatever is due while the pipe accepts it: if it does not accept everything, link_send() watches it again. */
static void flush(struct link *l)
{
	loop_io_stop(&l->can_send);
	if (answer_send(l) == -EAGAIN)
		wait_to_send(l);
	else
		l->env.hooks->flush(l->env.self);
}

/* ── HELLO ── */

static void renew(struct link *l)
{
	if (pipe_connects(l->in))
		(void)pipe_renew(l->in);
	if (pipe_connects(l->out))
		(void)pipe_renew(l->out);
}

/* No peer yet: it is sent as soon as there is one. */
static void hello_call(struct link *l)
{
	if (hello_send(l) == -EAGAIN)
		wait_to_send(l);
}

static void on_call(void *self)
{
	struct link *l = self;

	if (++l->hellos % RENEW_HELLOS == 0)
		renew(l);
	hello_call(l);
}

static void on_can_send(void *self, unsigned events)
{
	struct link *l = self;

	(void)events;
	if (l->env.role == LINK_CALLS && !l->greeted) {
		loop_io_stop(&l->can_send);
		hello_call(l);
	} else {
		flush(l);
	}
}

static void call(struct link *l)
{
	loop_timer_every(&l->call, 0, HELLO_AGAIN_MS);
}

/* The calling end: greeted, or heard by a peer that does not know us yet. */
static void hear_as_caller(struct link *l)
{
	if (!l->greeted) {
		call(l);
		return;
	}
	loop_timer_stop(&l->call);
	l->hellos = 0;
}

/* The answering end: it may be unable to send its answer, although it hears the peer. */
static void hear_as_answerer(struct link *l)
{
	if (l->answer_due && ++l->hellos % RENEW_HELLOS == 0 && pipe_connects(l->out))
		(void)pipe_renew(l->out);
	l->answer_due = true;
}

static void note_neighbour(struct link *l, const struct reason *words, unsigned version)
{
	uint64_t held_back;

	if (log_limit_pass(&l->near, &held_back))
		log_notice("%s: continuing with version %u", words->text, version);
}

/*
 * Whether we have a protocol version in common, in which we write from now on. If not, it is told ours, so that it can
 * report that too, but it is not a peer: everything else that it sends is of a version that we do not take. The calling
 * end calls anyway; if both answered, they would never stop.
 */
static bool can_talk(struct link *l, const struct message *m)
{
	struct reason words;
	enum stage_talk talk = stage_talk_of(m, l->env.peer_name, "this side", &words);

	l->stranger.text[0] = '\0';
	if (talk == TALK_OTHER) {
		l->stranger = words;
		count_add(l->env.refused, 1);
		log_warning_limited(&l->bad, words.text);
		if (l->env.role == LINK_ANSWERS)
			(void)hello_send(l);
		return false;
	}
	uint8_t version = stage_version_for(m);
	pipe_speak(l->out, version);
	if (talk == TALK_NEIGHBOUR && l->peer != m->incarnation)
		note_neighbour(l, &words, version);
	return true;
}

static void take_hello(struct link *l, const struct message *m)
{
	bool is_new = l->peer != m->incarnation, was_greeted = l->greeted;

	if (!can_talk(l, m))
		return;
	if (is_new && l->peer != 0)
		l->restarts++;
	l->peer = m->incarnation;
	l->greeted = m->peer == l->env.incarnation;
	if (l->env.role == LINK_CALLS)
		hear_as_caller(l);
	else
		hear_as_answerer(l);
	/* A slow peer that was called several times answers several times; it has lost nothing since it named us. */
	if (is_new || l->env.role == LINK_ANSWERS || !(was_greeted && l->greeted))
		l->env.hooks->hello(l->env.self, is_new);
	flush(l);
}

/*
 * What was sent on a connection that broke is lost, and only the count of broken connections tells. Checked each turn,
 * so that nothing is done for a peer that is gone.
 */
static void on_look(void *self)
{
	struct link *l = self;
	uint64_t losses = pipe_losses(l->in) + pipe_losses(l->out);

	if (losses == l->losses)
		return;
	l->losses = losses;
	if (!l->greeted)
		return;
	l->greeted = false;
	loop_timer_every(&l->call, HELLO_AGAIN_MS, HELLO_AGAIN_MS);
	if (l->env.hooks->lost)
		l->env.hooks->lost(l->env.self);
}

/* ── too many connections ── */

static void renew_bound(struct link *l)
{
	loop_io_stop(&l->can_receive);
	loop_io_stop(&l->can_send);
	int in = pipe_renew(l->in), out = pipe_renew(l->out);
	l->renew_due = in < 0 || out < 0;
	if (!l->paused)
		link_resume(l);
	wait_to_send(l);
}

/*
 * Each connection takes a descriptor, and without one no transfer can be opened and no client accepted. Whoever has so
 * many is no peer of ours, so all are dropped. A peer that is one notices, and calls again.
 */
static void on_look_for_crowd(void *self)
{
	struct link *l = self;
	struct reason text;

	if (!l->renew_due && pipe_peers(l->in) <= LINK_PEERS_MAX && pipe_peers(l->out) <= LINK_PEERS_MAX)
		return;
	reason_set(&text, "too many connections to '%s' or '%s': all are dropped", pipe_name_text(l->env.in),
		   pipe_name_text(l->env.out));
	log_warning_limited(&l->crowd, text.text);
	renew_bound(l);
}

/* ── receiving ── */

static void take(struct link *l, const struct message *m)
{
	if (m->type == MSG_HELLO)
		take_hello(l, m);
	else if (m->protocol < WIRE_TALK_MIN)
		link_refuse(l, decode_verdict_text(DECODE_VERSION));
	else if (!l->env.hooks->take(l->env.self, m))
		link_refuse(l, message_name(m->type));
}

static void on_can_receive(void *self, unsigned events)
{
	struct link *l = self;

	(void)events;
	for (unsigned i = 0; i < l->env.turn_max && !l->paused; i++) {
		struct message m;
		enum decode_verdict v = DECODE_OK;
		int r = pipe_receive(l->in, &m, &v);
		if (r == 0)
			take(l, &m);
		else if (r == -EBADMSG)
			link_refuse(l, decode_verdict_text(v));
		else
			break;
	}
	if (l->env.hooks->turn)
		l->env.hooks->turn(l->env.self);
}

void link_pause(struct link *l)
{
	l->paused = true;
	loop_io_stop(&l->can_receive);
}

void link_resume(struct link *l)
{
	l->paused = false;
	if (!l->renew_due)
		loop_io_watch(&l->can_receive, pipe_receive_fd(l->in), LOOP_READ);
}

/* ── beginning and end ── */

static void begin(struct link *l)
{
	loop_io_init(&l->can_receive, l->env.loop, on_can_receive, l);
	loop_io_init(&l->can_send, l->env.loop, on_can_send, l);
	loop_timer_init(&l->call, l->env.loop, on_call, l);
	link_resume(l);
	if (l->env.role == LINK_CALLS) {
		loop_hook_start(&l->look, l->env.loop, on_look, l);
		call(l);
	} else {
		loop_hook_start(&l->look, l->env.loop, on_look_for_crowd, l);
		l->answer_due = true;
		wait_to_send(l);
	}
}

int link_new(const struct link_env *env, struct link **ret_link)
{
	struct link *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->env = *env;
	int r = pipe_open(env->runtime_dir, env->in, PIPE_PULL, &l->in);
	if (r == 0)
		r = pipe_open(env->runtime_dir, env->out, PIPE_PUSH, &l->out);
	if (r < 0) {
		link_free(l);
		return r;
	}
	begin(l);
	*ret_link = l;
	return 0;
}

void link_free(struct link *l)
{
	if (!l)
		return;
	loop_io_stop(&l->can_receive);
	loop_io_stop(&l->can_send);
	loop_timer_stop(&l->call);
	loop_hook_stop(&l->look);
	pipe_close(l->out);
	pipe_close(l->in);
	free(l);
}

uint64_t link_peer(const struct link *l)
{
	return l->peer;
}

uint64_t link_restarts(const struct link *l)
{
	return l->restarts;
}

const char *link_stranger(const struct link *l)
{
	return l->stranger.text[0] != '\0' && pipe_peers(l->in) > 0 ? l->stranger.text : NULL;
}

unsigned link_peers_in(const struct link *l)
{
	return pipe_peers(l->in);
}

unsigned link_peers_out(const struct link *l)
{
	return pipe_peers(l->out);
}

struct pipe *link_out(struct link *l)
{
	return l->out;
}
