#include "commitd/receipts.h"

/* System */
#include <errno.h>

/* Base */
#include "common/base/loop.h"

struct receipts {
	struct pipe *pipe;
	const struct peer *peer;
	void (*writable)(void *self);
	void *self;
	struct loop_io can_send; /* watched after receipts_wait() */
	struct loop_timer hello; /* set until greeted */
	unsigned hellos;         /* not answered so far */
};

static void on_can_send(void *self, unsigned events)
{
	struct receipts *r = self;
	(void)events;
	loop_io_stop(&r->can_send);
	r->writable(r->self);
}

static void on_hello_due(void *self)
{
	struct receipts *r = self;
	struct message m = {.type = MSG_HELLO, .incarnation = r->peer->self, .peer = r->peer->other};
	if (r->peer->greeted) {
		r->hellos = 0;
		loop_timer_stop(&r->hello);
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
	loop_io_watch(&r->can_send, pipe_send_fd(r->pipe), LOOP_READ);
}

void receipts_greet(struct receipts *r)
{
	if (r->peer->greeted || loop_timer_is_set(&r->hello))
		return;
	loop_timer_every(&r->hello, 0, HELLO_AGAIN_MS);
}

int receipts_new(struct loop *loop, const char *runtime_dir, const struct peer *peer, void (*writable)(void *self),
		 void *self, struct receipts **ret_receipts)
{
	struct receipts *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct receipts){.peer = peer, .writable = writable, .self = self};
	int e = pipe_open(runtime_dir, PIPE_RECEIPTS, PIPE_PUSH, &r->pipe);
	if (e < 0) {
		free(r);
		return e;
	}
	loop_io_init(&r->can_send, loop, on_can_send, r);
	loop_timer_init(&r->hello, loop, on_hello_due, r);
	receipts_greet(r);
	*ret_receipts = r;
	return 0;
}

void receipts_free(struct receipts *r)
{
	if (!r)
		return;
	loop_io_stop(&r->can_send);
	loop_timer_stop(&r->hello);
	pipe_close(r->pipe);
	free(r);
}
