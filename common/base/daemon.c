#include "common/base/daemon.h"

/* System */
#include <errno.h>
#include <ev.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <sysexits.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/lock.h"
#include "common/base/log.h"
#include "common/base/notify.h"

#define LOCK_NAME_SIZE 64
#define US_PER_S       1e6

struct daemon_state {
	const struct daemon_hooks *hooks;
	void *self;
	bool stopping;
	ev_signal terminate, interrupt, hangup;
	ev_prepare turn;
	ev_timer watchdog; /* fires only while the loop turns: a manager that hears nothing kills what is wedged */
};

static void on_stop(struct ev_loop *loop, ev_signal *watcher, int events)
{
	struct daemon_state *d = watcher->data;
	(void)events;
	if (d->stopping) {
		log_warning("signal %d again: ending at once", watcher->signum);
		daemon_end(loop);
		return;
	}
	d->stopping = true;
	log_info("signal %d: stopping", watcher->signum);
	(void)notify_send(NOTIFY_STOPPING "\nSTATUS=stopping");
	d->hooks->stop(d->self);
}

static void on_hangup(struct ev_loop *loop, ev_signal *watcher, int events)
{
	const struct daemon_state *d = watcher->data;
	(void)loop;
	(void)events;
	if (!d->hooks->reload || d->stopping)
		return;
	(void)notify_reloading();
	d->hooks->reload(d->self);
	(void)notify_send(NOTIFY_READY);
}

static void on_turn(struct ev_loop *loop, ev_prepare *watcher, int events)
{
	(void)loop;
	(void)watcher;
	(void)events;
	log_flush_due();
}

static void on_watchdog(struct ev_loop *loop, ev_timer *watcher, int events)
{
	const struct daemon_state *d = watcher->data;
	struct reason what;
	(void)loop;
	(void)events;
	if (d->hooks->describe && !d->stopping) {
		d->hooks->describe(d->self, &what);
		(void)notify_status("%s", what.text);
	}
	(void)notify_send(NOTIFY_WATCHDOG);
}

/* Twice in the time that the manager allows. */
static void watchdog_start(struct daemon_state *d, struct ev_loop *loop)
{
	double interval_s = (double)notify_watchdog_us() / US_PER_S / 2;
	ev_timer_init(&d->watchdog, on_watchdog, 0., interval_s);
	d->watchdog.data = d;
	if (interval_s > 0)
		ev_timer_start(loop, &d->watchdog);
}

static void signals_start(struct daemon_state *d, struct ev_loop *loop)
{
	ev_signal_init(&d->terminate, on_stop, SIGTERM);
	ev_signal_init(&d->interrupt, on_stop, SIGINT);
	ev_signal_init(&d->hangup, on_hangup, SIGHUP);
	d->terminate.data = d->interrupt.data = d->hangup.data = d;
	ev_signal_start(loop, &d->terminate);
	ev_signal_start(loop, &d->interrupt);
	ev_signal_start(loop, &d->hangup);
}

static void signals_stop(struct daemon_state *d, struct ev_loop *loop)
{
	ev_signal_stop(loop, &d->terminate);
	ev_signal_stop(loop, &d->interrupt);
	ev_signal_stop(loop, &d->hangup);
}

static int loop_run(const struct daemon_hooks *hooks, void *self)
{
	struct ev_loop *loop = ev_default_loop(EVFLAG_AUTO);
	if (!loop) {
		log_error("cannot make an event loop");
		return EX_OSERR;
	}
	struct daemon_state d = {.hooks = hooks, .self = self};
	signals_start(&d, loop);
	int code = hooks->start(self, loop);
	if (code == 0) {
		ev_prepare_init(&d.turn, on_turn);
		ev_prepare_start(loop, &d.turn);
		watchdog_start(&d, loop);
		(void)notify_send(NOTIFY_READY "\nSTATUS=serving");
		(void)ev_run(loop, 0);
		ev_timer_stop(loop, &d.watchdog);
		ev_prepare_stop(loop, &d.turn);
	}
	hooks->release(self);
	signals_stop(&d, loop);
	ev_loop_destroy(loop);
	return code;
}

int daemon_run(const char *program, const char *runtime_dir, const struct daemon_hooks *hooks, void *self)
{
	AUTO_FD dir_fd = -1;
	AUTO_FD lock_fd = -1;
	struct reason why;
	int r = runtime_dir_make(runtime_dir, &dir_fd, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	char name[LOCK_NAME_SIZE];
	(void)snprintf(name, sizeof name, "%s.lock", program);
	r = lock_take_at(dir_fd, name, LOCK_SERVE, program, &lock_fd, &why);
	if (r == -EWOULDBLOCK) {
		log_error("'%s/%s' is held by %s", runtime_dir, name, why.text);
		return EX_TEMPFAIL;
	}
	if (r < 0) {
		(void)log_errno(r, "cannot lock '%s/%s'", runtime_dir, name);
		return exit_code_of(r);
	}
	return loop_run(hooks, self);
}

void daemon_end(struct ev_loop *loop)
{
	ev_break(loop, EVBREAK_ALL);
}
