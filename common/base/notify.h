/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a daemon tells the service manager that started it: the datagrams of sd_notify(3), without its library. Where
 * nobody listens (NOTIFY_SOCKET is not set) all of it does nothing. None of it blocks.
 */
#ifndef SLUICE_BASE_NOTIFY_H
#define SLUICE_BASE_NOTIFY_H

#include <stdint.h>

#define NOTIFY_READY      "READY=1"
#define NOTIFY_WATCHDOG   "WATCHDOG=1"
#define NOTIFY_STOPPING   "STOPPING=1"

#define NOTIFY_STATUS_MAX 512 /* bytes of a status line; longer ones are cut */

/*
 * Send assignments as they are, a line each. 0: sent, or nobody listens. -EAGAIN: the manager is behind; another
 * -errno. Not worth more than an ignored result to most: what counts is said again, or missed by the manager itself.
 */
int notify_send(const char *assignments);

/* "RELOADING=1" with the time that goes with it. To be followed by NOTIFY_READY. */
int notify_reloading(void);

/* What `systemctl status` shows: one line, escaped. */
int notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager wants to hear NOTIFY_WATCHDOG from this very process at the least; 0: never. */
uint64_t notify_watchdog_us(void);

#endif
