/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP without a network, linked in place of fetchd/http/http.c. Requests are kept until the test answers them, outside
 * of any hook: header lines, bytes, an end. Include it in one file of a program.
 * Longer than 150 lines because a stand-in is one file.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_HTTP_H
#define SLUICE_TESTS_UNIT_STAND_IN_HTTP_H

/* Own */
#include "tests/unit/unit.h"

/* What it stands in for */
#include "fetchd/http/http.h"

#define EXCHANGES_MAX 256
#define PIECE_MAX     16384u /* the most that http.h passes on at a time */

struct exchange {
	const struct http_hooks *hooks;
	void *self;
	char url[256], authorization[64], if_range[64];
	uint64_t first, last;
	bool head, fresh;
	enum guard_zone nearest;
	uint64_t min_speed;
	struct response response;
	bool running, paused, answered;
	enum guard_zone peer; /* ZONE_PUBLIC unless a test says otherwise */
	size_t progress;      /* bytes accepted, and expected */
	uint64_t answer_ms;   /* 0 unless a test says otherwise */
};

struct http {
	struct exchange all[EXCHANGES_MAX];
	size_t len;
	unsigned forgotten, left; /* times */
	bool out_of_memory;       /* fail the next request */
};

static struct http stand_in;

int http_new(struct loop *loop, struct http **ret_http)
{
	(void)loop;
	memset(&stand_in, 0, sizeof(stand_in));
	*ret_http = &stand_in;
	return 0;
}

void http_free(struct http *h)
{
	for (size_t i = 0; h && i < h->len; i++)
		assert_false(h->all[i].running);
}

int http_forget(struct http *h)
{
	h->forgotten++;
	return 0;
}

void http_leave(struct http *h, uint64_t lane)
{
	(void)lane;
	h->left++;
}

int http_start(struct http *h, const struct http_ask *ask, const struct http_hooks *hooks, void *self,
	       struct exchange **ret_exchange)
{
	assert_true(h->len < EXCHANGES_MAX);
	if (h->out_of_memory) {
		h->out_of_memory = false;
		return -ENOMEM;
	}
	struct exchange *x = &h->all[h->len++];
	*x = (struct exchange){.hooks = hooks,
			       .self = self,
			       .first = ask->first,
			       .last = ask->last,
			       .head = ask->head,
			       .fresh = ask->fresh,
			       .nearest = ask->nearest,
			       .min_speed = ask->patience.min_speed,
			       .peer = ZONE_PUBLIC,
			       .running = true};
	(void)snprintf(x->url, sizeof(x->url), "%s", ask->url);
	(void)snprintf(x->authorization, sizeof(x->authorization), "%s", ask->authorization ? ask->authorization : "");
	(void)snprintf(x->if_range, sizeof(x->if_range), "%s", ask->if_range ? ask->if_range : "");
	*ret_exchange = x;
	return 0;
}

void http_resume(struct exchange *x)
{
	x->paused = false;
}

void http_cancel(struct exchange *x)
{
	assert_true(x->running);
	x->running = false;
}

enum guard_zone http_peer_zone(const struct exchange *x)
{
	return x->peer;
}

uint64_t http_answer_ms(const struct exchange *x)
{
	return x->answer_ms;
}

bool http_is_connected(const struct exchange *x)
{
	return x->running;
}

/* ── what a test does ── */

static inline struct exchange *stand_in_last(void)
{
	assert_true(stand_in.len > 0);
	return &stand_in.all[stand_in.len - 1];
}

static inline void stand_in_end(struct exchange *x, enum http_end end, const char *words)
{
	struct reason why;
	assert_true(x->running);
	reason_set(&why, "%s", words);
	x->running = false;
	x->hooks->done(x->self, end, 0, &why);
}

/* Send the header of an answer: lines that end with "\n", without the empty line. False: the exchange was stopped. */
static inline bool stand_in_head(struct exchange *x, const char *head)
{
	assert_true(x->running && !x->answered);
	x->answered = true;
	response_init(&x->response, 1700000000);
	while (*head) {
		size_t len = strcspn(head, "\n");
		assert_int_equal(response_line(&x->response, span_of(head, len)), RESPONSE_MORE);
		head += len + (head[len] == '\n');
	}
	assert_int_equal(response_line(&x->response, span_str("\r\n")), RESPONSE_WHOLE);
	if (x->hooks->head(x->self, &x->response))
		return true;
	stand_in_end(x, HTTP_STOPPED, "");
	return false;
}

/* Send bytes of the body until a pause or the end. */
static inline size_t stand_in_body(struct exchange *x, const uint8_t *data, size_t len)
{
	size_t done = 0;
	while (done < len && x->running && !x->paused) {
		size_t some = len - done < PIECE_MAX ? len - done : PIECE_MAX;
		enum body_answer answer = x->hooks->body(x->self, data + done, some);
		if (answer == BODY_STOP) {
			stand_in_end(x, HTTP_STOPPED, "");
			return done;
		}
		x->paused = answer == BODY_PAUSE;
		done += x->paused ? 0 : some;
		x->progress += answer == BODY_TAKEN ? some : 0;
	}
	return done;
}

#endif
