/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/daemon.h"

/* System */
#include <signal.h>
#include <stdbool.h>
#include <sysexits.h>

/* Base */
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/notify.h"

#define US_PER_MS 1000u

struct daemon_state {
	const struct daemon_hooks *hooks;
	void *self;
	struct loop *loop;
	bool stopping;
	struct loop_signal terminate, interrupt, hangup;
	struct loop_hook turn;
	struct loop_timer watchdog; /* fires only while the loop turns, so that the manager kills a wedged daemon */
};

static void on_stop(void *self, int signum)
{
	struct daemon_state *d = self;
	if (d->stopping) {
		log_warning("signal %d again: ending at once", signum);
		loop_break(d->loop);
		return;
	}
	d->stopping = true;
	log_info("signal %d: stopping", signum);
	(void)notify_send(NOTIFY_STOPPING "\nSTATUS=stopping");
	d->hooks->stop(d->self);
}

static void on_hangup(void *self, int signum)
{
	const struct daemon_state *d = self;
	(void)signum;
	if (!d->hooks->reload || d->stopping)
		return;
	(void)notify_reloading();
	d->hooks->reload(d->self);
	(void)notify_send(NOTIFY_READY);
}

static void on_turn(void *self)
{
	(void)self;
	log_flush_due();
}

static void on_watchdog(void *self)
{
	const struct daemon_state *d = self;
	struct reason what;
	if (d->hooks->describe && !d->stopping) {
		d->hooks->describe(d->self, &what);
		(void)notify_status("%s", what.text);
	}
	(void)notify_send(NOTIFY_WATCHDOG);
}

/* Twice per watchdog interval. */
static void watchdog_start(struct daemon_state *d)
{
	uint64_t interval_ms = notify_watchdog_us() / US_PER_MS / 2;
	loop_timer_init(&d->watchdog, d->loop, on_watchdog, d);
	if (interval_ms > 0)
		loop_timer_every(&d->watchdog, 0, interval_ms);
}

static void signals_start(struct daemon_state *d)
{
	loop_signal_start(&d->terminate, d->loop, SIGTERM, on_stop, d);
	loop_signal_start(&d->interrupt, d->loop, SIGINT, on_stop, d);
	loop_signal_start(&d->hangup, d->loop, SIGHUP, on_hangup, d);
}

static void signals_stop(struct daemon_state *d)
{
	loop_signal_stop(&d->terminate);
	loop_signal_stop(&d->interrupt);
	loop_signal_stop(&d->hangup);
}

int daemon_run(const struct daemon_hooks *hooks, void *self)
{
	struct daemon_state d = {.hooks = hooks, .self = self};
	if (loop_new(&d.loop) < 0) {
		log_error("cannot make an event loop");
		return EX_OSERR;
	}
	signals_start(&d);
	int code = hooks->start(self, d.loop);
	if (code == 0) {
		loop_hook_start(&d.turn, d.loop, on_turn, NULL);
		watchdog_start(&d);
		(void)notify_send(NOTIFY_READY "\nSTATUS=serving");
		loop_run(d.loop);
		loop_timer_stop(&d.watchdog);
		loop_hook_stop(&d.turn);
	}
	hooks->release(self);
	signals_stop(&d);
	loop_free(d.loop);
	return code;
}

void daemon_end(struct loop *loop)
{
	loop_break(loop);
}
