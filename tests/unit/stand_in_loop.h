/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An event loop without a kernel, linked in place of common/base/loop.c. Its time is that of stand_in_clock.h and
 * passes only when the test says so. A descriptor is ready when the test's function says so. Include it in one file of
 * a program. Longer than 150 lines because it is an implementation, not an interface.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_LOOP_H
#define SLUICE_TESTS_UNIT_STAND_IN_LOOP_H

/* System */
#include <sys/queue.h>

/* Own */
#include "tests/unit/stand_in_clock.h"

/* What it stands in for */
#include "common/base/loop.h"

/* The content of a watcher's storage; all zeros means never set. */
struct entry {
	TAILQ_ENTRY(entry) link;
	void *watcher;
	uint64_t due_ms, every_ms; /* of a timer */
	int fd;                    /* of an io */
	bool set;
};
TAILQ_HEAD(entries, entry);

struct loop {
	struct entries timers, ios, hooks;
	uint64_t now_ms;
	bool (*is_ready)(int fd);
	bool broken;
};

static struct loop stand_in_loop;

#define ENTRY(w) ((struct entry *)(void *)(w)->storage.bytes)
_Static_assert(sizeof(struct entry) <= LOOP_STORAGE_BYTES, "an entry fits");

/* Begin at a time other than 0. */
static inline struct loop *stand_in_loop_begin(bool (*is_ready)(int fd))
{
	struct loop *l = &stand_in_loop;
	*l = (struct loop){.now_ms = 1000000, .is_ready = is_ready};
	TAILQ_INIT(&l->timers);
	TAILQ_INIT(&l->ios);
	TAILQ_INIT(&l->hooks);
	stand_in_clock_set(l->now_ms);
	return l;
}

/* Everything that was set must have been stopped. */
static inline void stand_in_loop_end(void)
{
	assert_true(TAILQ_EMPTY(&stand_in_loop.timers));
	assert_true(TAILQ_EMPTY(&stand_in_loop.ios));
	assert_true(TAILQ_EMPTY(&stand_in_loop.hooks));
	stand_in_clock_release();
}

static inline void stand_in_pass(uint64_t ms)
{
	stand_in_loop.now_ms += ms;
	stand_in_clock_set(stand_in_loop.now_ms);
}

static inline void entry_stop(struct entries *all, struct entry *e)
{
	if (e->set)
		TAILQ_REMOVE(all, e, link);
	e->set = false;
}

static inline void entry_start(struct entries *all, struct entry *e, void *watcher)
{
	entry_stop(all, e);
	e->watcher = watcher;
	e->set = true;
	TAILQ_INSERT_TAIL(all, e, link);
}

/* ── timers ── */

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*due)(void *self), void *self)
{
	*t = (struct loop_timer){.loop = l, .due = due, .self = self};
}

void loop_timer_set(struct loop_timer *t, uint64_t in_ms)
{
	ENTRY(t)->due_ms = t->loop->now_ms + in_ms;
	ENTRY(t)->every_ms = 0;
	entry_start(&t->loop->timers, ENTRY(t), t);
}

void loop_timer_every(struct loop_timer *t, uint64_t first_ms, uint64_t every_ms)
{
	loop_timer_set(t, first_ms);
	ENTRY(t)->every_ms = every_ms;
}

void loop_timer_stop(struct loop_timer *t)
{
	if (t->loop)
		entry_stop(&t->loop->timers, ENTRY(t));
}

bool loop_timer_is_set(const struct loop_timer *t)
{
	return ((const struct entry *)(const void *)t->storage.bytes)->set;
}

/* ── descriptors and hooks ── */

void loop_io_init(struct loop_io *w, struct loop *l, void (*ready)(void *self, unsigned events), void *self)
{
	*w = (struct loop_io){.loop = l, .ready = ready, .self = self};
}

void loop_io_watch(struct loop_io *w, int fd, unsigned events)
{
	assert_int_equal(events, LOOP_READ);
	ENTRY(w)->fd = fd;
	if (!ENTRY(w)->set)
		entry_start(&w->loop->ios, ENTRY(w), w);
}

void loop_io_stop(struct loop_io *w)
{
	if (w->loop)
		entry_stop(&w->loop->ios, ENTRY(w));
}

void loop_hook_start(struct loop_hook *h, struct loop *l, void (*before_sleep)(void *self), void *self)
{
	*h = (struct loop_hook){.loop = l, .before_sleep = before_sleep, .self = self};
	entry_start(&l->hooks, ENTRY(h), h);
}

void loop_hook_stop(struct loop_hook *h)
{
	if (h->loop)
		entry_stop(&h->loop->hooks, ENTRY(h));
}

/* ── turns ── */

static inline struct entry *first_due(struct loop *l)
{
	struct entry *e, *first = NULL;
	TAILQ_FOREACH(e, &l->timers, link)
		if (e->due_ms <= l->now_ms && (!first || e->due_ms < first->due_ms))
			first = e;
	return first;
}

static inline void run_timers(struct loop *l)
{
	size_t left = 10000; /* a timer that sets itself again at once would never end */
	for (struct entry *e; (e = first_due(l)); left--) {
		struct loop_timer *t = e->watcher;
		assert_true(left > 0);
		if (e->every_ms > 0)
			e->due_ms = l->now_ms + e->every_ms;
		else
			entry_stop(&l->timers, e);
		t->due(t->self);
	}
}

/* Call one watcher in a turn, because it may stop others. All of them take turns. */
static inline void run_ios(struct loop *l)
{
	struct entry *e;
	TAILQ_FOREACH(e, &l->ios, link) {
		struct loop_io *w = e->watcher;
		if (!l->is_ready(e->fd))
			continue;
		TAILQ_REMOVE(&l->ios, e, link);
		TAILQ_INSERT_TAIL(&l->ios, e, link);
		w->ready(w->self, LOOP_READ);
		return;
	}
}

/* Run what is due now. Time does not pass. */
void loop_turn(struct loop *l, bool wait)
{
	struct entry *e;
	(void)wait;
	run_ios(l);
	run_timers(l);
	TAILQ_FOREACH(e, &l->hooks, link) {
		struct loop_hook *h = e->watcher;
		h->before_sleep(h->self);
	}
}

/* ── not needed without a kernel ── */

int loop_new(struct loop **ret_loop)
{
	*ret_loop = &stand_in_loop;
	return 0;
}

void loop_free(struct loop *l)
{
	(void)l;
}

void loop_run(struct loop *l)
{
	while (!l->broken)
		loop_turn(l, true);
}

void loop_break(struct loop *l)
{
	l->broken = true;
}

void loop_child_start(struct loop_child *c, struct loop *l, pid_t pid, void (*ended)(void *self, int wait_status),
		      void *self)
{
	*c = (struct loop_child){.loop = l, .ended = ended, .self = self};
	fail_msg("process %d is not watched here", (int)pid);
}

void loop_child_stop(struct loop_child *c)
{
	(void)c;
}

#endif
