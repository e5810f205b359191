/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/loop.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <ev.h>
#include <stdlib.h>

#define MS_PER_S 1000.0

struct loop {
	struct ev_loop *ev;
};

/* Each kind of watcher keeps libev's own in its storage; one that is all zero was never started. */
#define FITS(type) static_assert(sizeof(type) <= LOOP_STORAGE_BYTES && _Alignof(type) <= 8, "no room for an " #type)
FITS(ev_timer);
FITS(ev_io);
FITS(ev_async);
FITS(ev_prepare);
FITS(ev_signal);
FITS(ev_child);
#define EV(type, w) ((type *)(void *)(w)->storage.bytes)

int loop_new(struct loop **ret_loop)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	/* The default one: only there libev watches children. */
	l->ev = ev_default_loop(EVFLAG_AUTO);
	if (!l->ev) {
		free(l);
		return -ENOMEM;
	}
	*ret_loop = l;
	return 0;
}

void loop_free(struct loop *l)
{
	if (!l)
		return;
	ev_loop_destroy(l->ev);
	free(l);
}

void loop_run(struct loop *l)
{
	(void)ev_run(l->ev, 0);
}

void loop_break(struct loop *l)
{
	ev_break(l->ev, EVBREAK_ALL);
}

void loop_turn(struct loop *l, bool wait)
{
	(void)ev_run(l->ev, wait ? EVRUN_ONCE : EVRUN_NOWAIT);
}

/* ── timers ── */

static void on_timer(struct ev_loop *ev, ev_timer *w, int events)
{
	const struct loop_timer *t = w->data;

	(void)ev;
	(void)events;
	t->due(t->self);
}

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*due)(void *self), void *self)
{
	*t = (struct loop_timer){.loop = l, .due = due, .self = self};
	ev_timer *w = EV(ev_timer, t);
	ev_timer_init(w, on_timer, 0., 0.);
	w->data = t;
}

/* libev counts from the start of the turn unless its clock is updated. */
static void timer_start(struct loop_timer *t, double in_s, double every_s)
{
	ev_timer *w = EV(ev_timer, t);

	ev_timer_stop(t->loop->ev, w);
	ev_now_update(t->loop->ev);
	ev_timer_set(w, in_s, every_s);
	ev_timer_start(t->loop->ev, w);
}

void loop_timer_set(struct loop_timer *t, uint64_t in_ms)
{
	timer_start(t, (double)in_ms / MS_PER_S, 0.);
}

void loop_timer_every(struct loop_timer *t, uint64_t first_ms, uint64_t every_ms)
{
	assert(every_ms > 0);
	timer_start(t, (double)first_ms / MS_PER_S, (double)every_ms / MS_PER_S);
}

void loop_timer_stop(struct loop_timer *t)
{
	if (t->loop)
		ev_timer_stop(t->loop->ev, EV(ev_timer, t));
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return t->loop && ev_is_active((const ev_timer *)(const void *)t->storage.bytes);
}

/* ── descriptors ── */

static void on_io(struct ev_loop *ev, ev_io *w, int events)
{
	const struct loop_io *io = w->data;

	(void)ev;
	io->ready(io->self, (events & EV_READ ? LOOP_READ : 0) | (events & EV_WRITE ? LOOP_WRITE : 0));
}

void loop_io_init(struct loop_io *w, struct loop *l, void (*ready)(void *self, unsigned events), void *self)
{
	*w = (struct loop_io){.loop = l, .ready = ready, .self = self};
	ev_io *io = EV(ev_io, w);
	ev_io_init(io, on_io, -1, 0);
	io->data = w;
}

void loop_io_watch(struct loop_io *w, int fd, unsigned events)
{
	ev_io *io = EV(ev_io, w);
	int wanted = (events & LOOP_READ ? EV_READ : 0) | (events & LOOP_WRITE ? EV_WRITE : 0);

	assert(fd >= 0 && wanted);
	if (ev_is_active(io) && io->fd == fd && (io->events & (EV_READ | EV_WRITE)) == wanted)
		return;
	ev_io_stop(w->loop->ev, io);
	ev_io_set(io, fd, wanted);
	ev_io_start(w->loop->ev, io);
}

void loop_io_stop(struct loop_io *w)
{
	if (w->loop)
		ev_io_stop(w->loop->ev, EV(ev_io, w));
}

/* ── threads ── */

static void on_wake(struct ev_loop *ev, ev_async *w, int events)
{
	const struct loop_wake *wake = w->data;

	(void)ev;
	(void)events;
	wake->woken(wake->self);
}

void loop_wake_start(struct loop_wake *w, struct loop *l, void (*woken)(void *self), void *self)
{
	*w = (struct loop_wake){.loop = l, .woken = woken, .self = self};
	ev_async *async = EV(ev_async, w);
	ev_async_init(async, on_wake);
	async->data = w;
	ev_async_start(l->ev, async);
}

void loop_wake_stop(struct loop_wake *w)
{
	if (w->loop)
		ev_async_stop(w->loop->ev, EV(ev_async, w));
}

void loop_wake_send(struct loop_wake *w)
{
	ev_async_send(w->loop->ev, EV(ev_async, w));
}

/* ── the end of a turn ── */

static void on_prepare(struct ev_loop *ev, ev_prepare *w, int events)
{
	const struct loop_hook *h = w->data;

	(void)ev;
	(void)events;
	h->before_sleep(h->self);
}

void loop_hook_start(struct loop_hook *h, struct loop *l, void (*before_sleep)(void *self), void *self)
{
	*h = (struct loop_hook){.loop = l, .before_sleep = before_sleep, .self = self};
	ev_prepare *w = EV(ev_prepare, h);
	ev_prepare_init(w, on_prepare);
	w->data = h;
	ev_prepare_start(l->ev, w);
}

void loop_hook_stop(struct loop_hook *h)
{
	if (h->loop)
		ev_prepare_stop(h->loop->ev, EV(ev_prepare, h));
}

/* ── signals and children ── */

static void on_signal(struct ev_loop *ev, ev_signal *w, int events)
{
	const struct loop_signal *s = w->data;

	(void)ev;
	(void)events;
	s->caught(s->self, w->signum);
}

void loop_signal_start(struct loop_signal *s, struct loop *l, int signum, void (*caught)(void *self, int signum),
		       void *self)
{
	*s = (struct loop_signal){.loop = l, .caught = caught, .self = self};
	ev_signal *w = EV(ev_signal, s);
	ev_signal_init(w, on_signal, signum);
	w->data = s;
	ev_signal_start(l->ev, w);
}

void loop_signal_stop(struct loop_signal *s)
{
	if (s->loop)
		ev_signal_stop(s->loop->ev, EV(ev_signal, s));
}

static void on_child(struct ev_loop *ev, ev_child *w, int events)
{
	const struct loop_child *c = w->data;

	(void)events;
	ev_child_stop(ev, w);
	c->ended(c->self, w->rstatus);
}

void loop_child_start(struct loop_child *c, struct loop *l, pid_t pid, void (*ended)(void *self, int wait_status),
		      void *self)
{
	*c = (struct loop_child){.loop = l, .ended = ended, .self = self};
	ev_child *w = EV(ev_child, c);
	ev_child_init(w, on_child, pid, 0);
	w->data = c;
	ev_child_start(l->ev, w);
}

void loop_child_stop(struct loop_child *c)
{
	if (c->loop)
		ev_child_stop(c->loop->ev, EV(ev_child, c));
}
