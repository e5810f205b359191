/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Notifications to the service manager: the datagrams of sd_notify(3), without its library. Without NOTIFY_SOCKET these
 * functions do nothing. None of them blocks.
 */
#ifndef SLUICE_BASE_NOTIFY_H
#define SLUICE_BASE_NOTIFY_H

#include <stdint.h>

#define NOTIFY_READY      "READY=1"
#define NOTIFY_WATCHDOG   "WATCHDOG=1"
#define NOTIFY_STOPPING   "STOPPING=1"

#define NOTIFY_STATUS_MAX 512 /* bytes of a status line; longer ones are cut */

/*
 * Send assignments, one per line, as they are. 0: sent, or nobody listens. -EAGAIN: the manager lags behind; or another
 * -errno. Most callers ignore the result: what matters is sent again, or the manager notices that it is missing.
 */
int notify_send(const char *assignments);

/* "RELOADING=1" with its timestamp. To be followed by NOTIFY_READY. */
int notify_reloading(void);

/* What `systemctl status` shows: one line, escaped. */
int notify_status(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* How often the manager expects NOTIFY_WATCHDOG from this very process; 0: never. */
uint64_t notify_watchdog_us(void);

#endif
