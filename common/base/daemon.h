/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The skeleton of all three daemons: the loop, signals, a clean end, and the notifications to a service manager
 * (notify.h): ready, reloading, alive, stopping.
 */
#ifndef SLUICE_BASE_DAEMON_H
#define SLUICE_BASE_DAEMON_H

#include "common/base/reason.h"

struct loop;

struct daemon_hooks {
	/* Bind, recover, begin. Runs once, before the loop. 0, or an exit code of sysexits(3) after logging why. */
	int (*start)(void *self, struct loop *loop);
	/* SIGHUP: reload the configuration. May be NULL. */
	void (*reload)(void *self);
	/* SIGTERM or SIGINT: begin to stop (flush checkpoints); call daemon_end() when that is done. */
	void (*stop)(void *self);
	/*
	 * After the loop, whatever happened: release everything. Also called after a failed start, but not without one.
	 */
	void (*release)(void *self);
	/* A few words on what it is doing, sent with each watchdog notification. May be NULL. */
	void (*describe)(void *self, struct reason *ret_text);
};

/* Run until stopped. Returns the exit code: 0 after a clean stop. */
int daemon_run(const struct daemon_hooks *hooks, void *self);

/* Leave the loop after this turn; daemon_run() returns 0. */
void daemon_end(struct loop *loop);

#endif
