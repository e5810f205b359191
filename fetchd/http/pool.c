/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/pool.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/loop.h"

#define IDLE_CONNECTIONS 32L

struct pool {
	struct loop *loop;
	CURLM *multi;
	pool_ended *ended;
	struct loop_timer timer; /* curl's */
	unsigned running;        /* requests */
	bool acting;             /* libcurl is running further up the stack */
	bool retired;
};

/* A socket of curl that we watch. */
struct watch {
	struct loop_io io;
	curl_socket_t socket;
	struct pool *pool;
};

static void pool_free(struct pool *p)
{
	(void)curl_multi_cleanup(p->multi);
	loop_timer_stop(&p->timer);
	free(p);
}

/* False: the pool is gone. */
static bool free_if_done(struct pool *p)
{
	if (!p->retired || p->running > 0 || p->acting)
		return true;
	pool_free(p);
	return false;
}

static void collect_ends(struct pool *p)
{
	CURLMsg *message;
	int left;
	while ((message = curl_multi_info_read(p->multi, &left)))
		if (message->msg == CURLMSG_DONE)
			p->ended(message->easy_handle, message->data.result);
}

/* False: the pool is gone. */
static bool act(struct pool *p, curl_socket_t socket, int what)
{
	int running;
	p->acting = true;
	(void)curl_multi_socket_action(p->multi, socket, what, &running);
	collect_ends(p);
	p->acting = false;
	return free_if_done(p);
}

static void on_io(void *self, unsigned events)
{
	const struct watch *w = self; /* curl may remove it during the call */
	(void)act(w->pool, w->socket,
		  (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static int on_socket(CURL *easy, curl_socket_t socket, int what, void *self, void *of_socket)
{
	struct pool *p = self;
	struct watch *w = of_socket;
	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (w)
			loop_io_stop(&w->io);
		free(w);
		return 0;
	}
	if (!w) {
		w = calloc(1, sizeof(*w));
		if (!w)
			return -1;
		w->pool = p;
		w->socket = socket;
		loop_io_init(&w->io, p->loop, on_io, w);
		(void)curl_multi_assign(p->multi, socket, w);
	}
	loop_io_watch(&w->io, socket, (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0));
	return 0;
}

static int set_timer(CURLM *multi, long timeout_ms, void *self)
{
	struct pool *p = self;
	(void)multi;
	if (timeout_ms < 0)
		loop_timer_stop(&p->timer);
	else
		loop_timer_set(&p->timer, (uint64_t)timeout_ms);
	return 0;
}

static void on_timer(void *self)
{
	struct pool *p = self;
	long timeout_ms = -1;
	if (!act(p, CURL_SOCKET_TIMEOUT, 0))
		return;
	/* If the timer fired slightly early, curl's deadline is unchanged, and curl reports only changes. */
	if (!loop_timer_is_set(&p->timer) && curl_multi_timeout(p->multi, &timeout_ms) == CURLM_OK)
		(void)set_timer(p->multi, timeout_ms, p);
}

int pool_new(struct loop *loop, pool_ended *ended, struct pool **ret_pool)
{
	struct pool *p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->loop = loop;
	p->ended = ended;
	loop_timer_init(&p->timer, loop, on_timer, p);
	p->multi = curl_multi_init();
	if (!p->multi) {
		free(p);
		return -ENOMEM;
	}
	(void)curl_multi_setopt(p->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
	(void)curl_multi_setopt(p->multi, CURLMOPT_SOCKETDATA, p);
	(void)curl_multi_setopt(p->multi, CURLMOPT_TIMERFUNCTION, set_timer);
	(void)curl_multi_setopt(p->multi, CURLMOPT_TIMERDATA, p);
	(void)curl_multi_setopt(p->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
	(void)curl_multi_setopt(p->multi, CURLMOPT_MAXCONNECTS, IDLE_CONNECTIONS);
	*ret_pool = p;
	return 0;
}

void pool_retire(struct pool *p)
{
	if (!p)
		return;
	p->retired = true;
	(void)free_if_done(p);
}

bool pool_add(struct pool *p, CURL *easy)
{
	assert(!p->retired);
	if (curl_multi_add_handle(p->multi, easy) != CURLM_OK)
		return false;
	p->running++;
	return true;
}

void pool_remove(struct pool *p, CURL *easy)
{
	assert(p->running > 0);
	(void)curl_multi_remove_handle(p->multi, easy);
	p->running--;
	(void)free_if_done(p);
}
