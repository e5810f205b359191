/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and events without sockets, linked in place of common/wire/ctl.c. The test plays the clients, which have
 * numbers. A client sends requests, and receives answers and events in the order of sending, as bytes of the codec.
 * Include it in one file of a program.
 * Longer than 150 lines because a stand-in is one file.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_CTL_H
#define SLUICE_TESTS_UNIT_STAND_IN_CTL_H

/* Own */
#include "tests/unit/unit.h"

/* What it stands in for */
#include "common/wire/ctl.h"

#define CLIENTS   4
#define HEARD_MAX 512

struct stand_in_client {
	uint64_t number; /* 0: not connected */
	bool waits, wants_all;
	char subject[NAME_MAX + 1];
	struct {
		uint8_t *data; /* owned */
		size_t len;
	} heard[HEARD_MAX];
	size_t first, len;
	uint8_t *last; /* memory of the views of the last message */
};

struct ctl {
	struct ctl_env env; /* without a loop: there is no stage */
	bool stopped;
	uint64_t last_number;
	struct stand_in_client clients[CLIENTS];
};

static struct ctl stand_in_ctl;

/* ── what the stage sees ── */

int ctl_new(const struct ctl_env *env, struct ctl **ret_ctl, struct reason *why)
{
	(void)why;
	stand_in_ctl = (struct ctl){.env = *env, .last_number = stand_in_ctl.last_number};
	*ret_ctl = &stand_in_ctl;
	return 0;
}

static inline void stand_in_client_empty(struct stand_in_client *cl)
{
	for (; cl->len > 0; cl->len--)
		free(cl->heard[cl->first++].data);
	free(cl->last);
	*cl = (struct stand_in_client){0};
}

void ctl_free(struct ctl *c)
{
	for (size_t i = 0; c && i < CLIENTS; i++)
		stand_in_client_empty(&c->clients[i]);
	if (c)
		c->env.loop = NULL;
}

void ctl_stop(struct ctl *c)
{
	c->stopped = true;
}

static inline void stand_in_client_tell(struct stand_in_client *cl, const struct message *m)
{
	assert_true(cl->len < HEARD_MAX);
	if (cl->len == 0)
		cl->first = 0;
	size_t at = cl->first + cl->len++;
	assert_true(at < HEARD_MAX);
	cl->heard[at].data = malloc(message_head_size(m));
	assert_non_null(cl->heard[at].data);
	cl->heard[at].len = message_encode_head(m, cl->heard[at].data);
}

void ctl_answer(struct ctl *c, uint64_t client, const struct message *m)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct stand_in_client *cl = &c->clients[i];
		if (cl->number != client || !cl->waits)
			continue;
		cl->waits = false;
		stand_in_client_tell(cl, m);
	}
}

void ctl_publish(struct ctl *c, struct span subject, const struct message *m)
{
	for (size_t i = 0; i < CLIENTS; i++) {
		struct stand_in_client *cl = &c->clients[i];
		bool wants = cl->wants_all || (subject.len > 0 && span_eq(subject, span_str(cl->subject)));
		if (cl->number > 0 && wants)
			stand_in_client_tell(cl, m);
	}
}

bool ctl_is_heard(const struct ctl *c, struct span subject)
{
	bool is_heard = false;

	for (size_t i = 0; i < CLIENTS; i++)
		is_heard = is_heard || (c->clients[i].number > 0 && subject.len > 0 &&
					span_eq(subject, span_str(c->clients[i].subject)));
	return is_heard;
}

/* ── what the clients do ── */

static inline void stand_in_ctl_ping(struct stand_in_client *cl)
{
	const struct ctl_env *env = &stand_in_ctl.env;
	struct message pong = {
	    .type = MSG_PONG, .incarnation = env->identity->incarnation, .started_s = env->identity->started_s};
	env->hooks->describe(env->self, &pong);
	stage_introduce(&pong);
	stand_in_client_tell(cl, &pong);
}

static inline void stand_in_ctl_subscribe(struct stand_in_client *cl, struct span subject)
{
	cl->wants_all = subject.len == 0;
	(void)snprintf(cl->subject, sizeof(cl->subject), "%.*s", SPAN_ARG(subject));
	stand_in_client_tell(cl, &(struct message){.type = MSG_OK});
}

/* False: there is no stage, or it no longer accepts requests. */
static inline bool stand_in_ctl_ask(unsigned client, const struct message *m)
{
	const struct ctl_env *env = &stand_in_ctl.env;
	struct stand_in_client *cl = &stand_in_ctl.clients[client];
	uint8_t bytes[MESSAGE_HEAD_MAX];
	struct message request;

	if (!env->loop || stand_in_ctl.stopped)
		return false;
	if (cl->number == 0)
		cl->number = ++stand_in_ctl.last_number;
	assert_false(cl->waits); /* one request at a time */
	assert_int_equal(message_decode(span_of(bytes, message_encode_head(m, bytes)), &request), DECODE_OK);
	if (m->type == MSG_PING) {
		stand_in_ctl_ping(cl);
	} else if (m->type == MSG_SUBSCRIBE) {
		stand_in_ctl_subscribe(cl, request.ref);
	} else {
		const struct ctl_asker who = {.client = cl->number, .uid = geteuid()};
		cl->waits = true;
		env->hooks->request(env->self, &who, &request);
	}
	return true;
}

/* Whether there is another message for the client; its views hold until the next one. */
static inline bool stand_in_ctl_hear(unsigned client, struct message *ret_message)
{
	struct stand_in_client *cl = &stand_in_ctl.clients[client];
	if (cl->len == 0)
		return false;
	free(cl->last);
	cl->last = cl->heard[cl->first].data;
	assert_int_equal(message_decode(span_of(cl->last, cl->heard[cl->first].len), ret_message), DECODE_OK);
	cl->first++;
	cl->len--;
	return true;
}

/* Disconnect. A pending answer is dropped. */
static inline void stand_in_ctl_leave(unsigned client)
{
	stand_in_client_empty(&stand_in_ctl.clients[client]);
}

#endif
