#include "commitd/receipts.h"

/* System */
#include <errno.h>
#include <ev.h>

#define HELLO_AGAIN_S ((double)HELLO_AGAIN_MS / 1000)

struct receipts {
	struct ev_loop *loop;
	struct pipe *pipe;
	const struct peer *peer;
	void (*writable)(void *self);
	void *self;
	ev_io can_send;  /* active after receipts_wait() */
	ev_timer hello;  /* active until greeted */
	unsigned hellos; /* not answered so far */
};

static void on_can_send(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct receipts *r = watcher->data;
	(void)events;
	ev_io_stop(loop, watcher);
	r->writable(r->self);
}

static void on_hello_due(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct receipts *r = watcher->data;
	struct message m = {.type = MSG_HELLO, .incarnation = r->peer->self, .peer = r->peer->other};
	(void)events;
	if (r->peer->greeted) {
		r->hellos = 0;
		ev_timer_stop(loop, watcher);
		return;
	}
	if (++r->hellos % PIPE_RENEW_HELLOS == 0)
		(void)pipe_renew(r->pipe);
	(void)pipe_send(r->pipe, &m); /* -EAGAIN: nobody there yet; the timer says it again */
}

int receipts_send(struct receipts *r, const struct message *m)
{
	return pipe_send(r->pipe, m);
}

void receipts_wait(struct receipts *r)
{
	ev_io_start(r->loop, &r->can_send);
}

void receipts_greet(struct receipts *r)
{
	if (r->peer->greeted || ev_is_active(&r->hello))
		return;
	ev_timer_set(&r->hello, 0., HELLO_AGAIN_S);
	ev_timer_start(r->loop, &r->hello);
}

int receipts_new(struct ev_loop *loop, const char *runtime_dir, const struct peer *peer, void (*writable)(void *self),
		 void *self, struct receipts **ret_receipts)
{
	struct receipts *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct receipts){.loop = loop, .peer = peer, .writable = writable, .self = self};
	int e = pipe_open(runtime_dir, PIPE_RECEIPTS, PIPE_PUSH, &r->pipe);
	if (e < 0) {
		free(r);
		return e;
	}
	ev_io_init(&r->can_send, on_can_send, pipe_send_fd(r->pipe), EV_READ);
	ev_timer_init(&r->hello, on_hello_due, 0., HELLO_AGAIN_S);
	r->can_send.data = r->hello.data = r;
	receipts_greet(r);
	*ret_receipts = r;
	return 0;
}

void receipts_free(struct receipts *r)
{
	if (!r)
		return;
	ev_io_stop(r->loop, &r->can_send);
	ev_timer_stop(r->loop, &r->hello);
	pipe_close(r->pipe);
	free(r);
}
