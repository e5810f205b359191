/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop of a process: timers, descriptors, signals, children, threads that wake it, and a hook before each
 * turn. Callbacks run on the thread that runs the loop, one after another, and must not block.
 *
 * This header is a seam: it names no library, and a program may be linked with another implementation (such as the loop
 * of tests, which sets the time and runs step by step: tests/unit/stand_in_loop.h). Only loop.c knows libev.
 *
 * How to use it: embed a struct loop_timer or loop_io in your own struct, init it once with the loop, the callback and
 * its `self`, then set, watch and stop it as you like, from any callback, its own included. The storage must not move
 * or disappear while a watcher is set. Every *_stop() is fine for a watcher that is not set and for one that is all
 * zero, so a half-made object can be released. A watcher's loop must outlive it.
 *
 *   libev                                      here
 *   ev_timer_set(&t, ms / 1000.0, 0.), start   loop_timer_set(&t, ms)
 *   ev_timer with a repeat, ev_timer_again     loop_timer_every(&t, first_ms, every_ms)
 *   ev_feed_event(&t)                          loop_timer_set(&t, 0) on a timer of its own
 *   ev_io_set(&w, fd, EV_READ), start          loop_io_watch(&w, fd, LOOP_READ)
 *   ev_is_active(&t)                           loop_timer_is_set(&t)
 *   ev_now_update(loop)                        not needed: timers count from the moment of the call
 */
#ifndef SLUICE_BASE_LOOP_H
#define SLUICE_BASE_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct loop;

/* The implementation's own data in a watcher. */
#define LOOP_STORAGE_BYTES 72
struct loop_storage {
	_Alignas(8) unsigned char bytes[LOOP_STORAGE_BYTES];
};

/* One loop for a process; the caller frees it. 0 or -ENOMEM. NULL is fine to free. */
int loop_new(struct loop **ret_loop);
void loop_free(struct loop *l);

/* Run until loop_break(), or until nothing is watched. */
void loop_run(struct loop *l);

/* From a callback: loop_run() returns after this turn. */
void loop_break(struct loop *l);

/* For a simulator, in place of loop_run(): one turn, which calls what is due. With `wait`, sleep until something is. */
void loop_turn(struct loop *l, bool wait);

/* ── timers: whole milliseconds on the monotonic clock, never early ── */

struct loop_timer {
	struct loop *loop;
	void (*due)(void *self);
	void *self;
	struct loop_storage storage;
};

void loop_timer_init(struct loop_timer *t, struct loop *l, void (*due)(void *self), void *self);

/* Call `due` once, `in_ms` from now; 0: in the next turn. Replaces what was set. */
void loop_timer_set(struct loop_timer *t, uint64_t in_ms);

/* Call `due` first in `first_ms` and then every `every_ms` (1 or more), until stopped. Replaces what was set. */
void loop_timer_every(struct loop_timer *t, uint64_t first_ms, uint64_t every_ms);

void loop_timer_stop(struct loop_timer *t);

/* Whether `due` will still be called. Inside `due`, false for a timer that was set once. */
bool loop_timer_is_set(const struct loop_timer *t);

/* ── descriptors, level-triggered ── */

#define LOOP_READ  1u
#define LOOP_WRITE 2u /* an error or a hang-up shows as everything that is watched */

struct loop_io {
	struct loop *loop;
	void (*ready)(void *self, unsigned events);
	void *self;
	struct loop_storage storage;
};

/* `ready` gets LOOP_READ, LOOP_WRITE or both. */
void loop_io_init(struct loop_io *w, struct loop *l, void (*ready)(void *self, unsigned events), void *self);

/*
 * Watch `fd` (borrowed) for `events`. Replaces what was watched; repeating a call costs nothing, so a caller that
 * paused can simply call again. Stop before closing the descriptor.
 */
void loop_io_watch(struct loop_io *w, int fd, unsigned events);
void loop_io_stop(struct loop_io *w);

/* ── wake: another thread has something for the loop ── */

struct loop_wake {
	struct loop *loop;
	void (*woken)(void *self);
	void *self;
	struct loop_storage storage;
};

void loop_wake_start(struct loop_wake *w, struct loop *l, void (*woken)(void *self), void *self);
void loop_wake_stop(struct loop_wake *w);

/* From any thread: call `woken` on the loop, at least once after this call. Several calls may become one. */
void loop_wake_send(struct loop_wake *w);

/* ── the end of each turn: called before the loop sleeps, to do what the turn has deferred ── */

struct loop_hook {
	struct loop *loop;
	void (*before_sleep)(void *self);
	void *self;
	struct loop_storage storage;
};

void loop_hook_start(struct loop_hook *h, struct loop *l, void (*before_sleep)(void *self), void *self);
void loop_hook_stop(struct loop_hook *h);

/* ── signals and children ── */

struct loop_signal {
	struct loop *loop;
	void (*caught)(void *self, int signum);
	void *self;
	struct loop_storage storage;
};

void loop_signal_start(struct loop_signal *s, struct loop *l, int signum, void (*caught)(void *self, int signum),
		       void *self);
void loop_signal_stop(struct loop_signal *s);

/* `ended` is called once with the status of waitpid(2); the loop has reaped the child by then. */
struct loop_child {
	struct loop *loop;
	void (*ended)(void *self, int wait_status);
	void *self;
	struct loop_storage storage;
};

void loop_child_start(struct loop_child *c, struct loop *l, pid_t pid, void (*ended)(void *self, int wait_status),
		      void *self);
void loop_child_stop(struct loop_child *c);

#endif
