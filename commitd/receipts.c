#include "commitd/receipts.h"

/* System */
#include <errno.h>
#include <ev.h>
#include <sys/queue.h>

/* Base */
#include "common/base/log.h"

#define HELLO_AGAIN_S ((double)HELLO_AGAIN_MS / 1000)

/* One that waits, as encoded bytes. */
struct waiting {
	TAILQ_ENTRY(waiting) link;
	size_t len;
	uint8_t bytes[];
};

struct receipts {
	struct ev_loop *loop;
	struct pipe *pipe;
	const struct peer *peer;
	ev_io writable; /* active while something waits */
	ev_timer hello; /* active until greeted */
	TAILQ_HEAD(, waiting) list;
	size_t list_len;
};

static void drop_first(struct receipts *r)
{
	struct waiting *w = TAILQ_FIRST(&r->list);
	TAILQ_REMOVE(&r->list, w, link);
	r->list_len--;
	free(w);
}

static void drop_all(struct receipts *r)
{
	while (!TAILQ_EMPTY(&r->list))
		drop_first(r);
	ev_io_stop(r->loop, &r->writable);
}

static int send_first(struct receipts *r)
{
	const struct waiting *w = TAILQ_FIRST(&r->list);
	struct message m;
	/* Our own bytes: they decode. */
	return message_decode(span_of(w->bytes, w->len), &m) == DECODE_OK ? pipe_send(r->pipe, &m) : 0;
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
	struct receipts *r = watcher->data;
	(void)events;
	while (!TAILQ_EMPTY(&r->list) && send_first(r) == 0)
		drop_first(r);
	if (TAILQ_EMPTY(&r->list))
		ev_io_stop(loop, watcher);
}

static void keep(struct receipts *r, const struct message *m)
{
	struct waiting *w = malloc(sizeof(*w) + message_head_size(m));
	if (!w)
		return; /* as if dropped: ingestd asks again */
	w->len = message_encode_head(m, w->bytes);
	if (r->list_len == RECEIPTS_WAITING_MAX) {
		log_debug("%d receipts wait: the oldest is dropped, ingestd asks again", RECEIPTS_WAITING_MAX);
		drop_first(r);
	}
	TAILQ_INSERT_TAIL(&r->list, w, link);
	r->list_len++;
	ev_io_start(r->loop, &r->writable);
}

void receipts_send(struct receipts *r, const struct message *m)
{
	/* Behind those that wait, so that they keep their order. */
	if (!TAILQ_EMPTY(&r->list) || pipe_send(r->pipe, m) < 0)
		keep(r, m);
}

static void on_hello_due(struct ev_loop *loop, ev_timer *watcher, int events)
{
	struct receipts *r = watcher->data;
	struct message m = {.type = MSG_HELLO, .incarnation = r->peer->self, .peer = r->peer->other};
	(void)events;
	if (r->peer->greeted)
		ev_timer_stop(loop, watcher);
	else
		(void)pipe_send(r->pipe, &m); /* -EAGAIN: nobody there yet; the timer says it again */
}

void receipts_peer_changed(struct receipts *r, bool is_new)
{
	if (is_new)
		drop_all(r);
	if (r->peer->greeted || ev_is_active(&r->hello))
		return;
	ev_timer_set(&r->hello, 0., HELLO_AGAIN_S);
	ev_timer_start(r->loop, &r->hello);
}

int receipts_new(struct ev_loop *loop, const char *runtime_dir, const struct peer *peer, struct receipts **ret_receipts)
{
	struct receipts *r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	int e = pipe_open(runtime_dir, PIPE_RECEIPTS, PIPE_PUSH, &r->pipe);
	if (e < 0) {
		free(r);
		return e;
	}
	r->loop = loop;
	r->peer = peer;
	TAILQ_INIT(&r->list);
	ev_io_init(&r->writable, on_writable, pipe_send_fd(r->pipe), EV_READ);
	ev_timer_init(&r->hello, on_hello_due, 0., HELLO_AGAIN_S);
	r->writable.data = r->hello.data = r;
	ev_timer_start(loop, &r->hello);
	*ret_receipts = r;
	return 0;
}

void receipts_free(struct receipts *r)
{
	if (!r)
		return;
	drop_all(r);
	ev_timer_stop(r->loop, &r->hello);
	pipe_close(r->pipe);
	free(r);
}
