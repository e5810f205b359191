/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases of a store (common/store/lease.h), as commitd keeps them: in leases/ID.lease what they hold, in memory who
 * has them and how long they still last. All on the committer's thread, in order with commits, names and the unlinks of a
 * gc, except leases_open() and leases_close().
 *
 * state        meaning                                                      a gc that ends what is idle
 * held         `holders` > 0: clients whose connection is open              leaves it
 * left         the last of them is gone without RELEASE: killed, or failed  ends it, if idle for long enough
 * found        it was on disk when this commitd started; its clients have   likewise, but not within LEASES_FOUND_S
 *              not called yet
 * firm         of a 'commitd commit', or without end                        leaves it until its time is over
 *
 * Time counts from when it was last renewed, and anew when commitd starts: a clock that jumps ends none.
 *
 * A 'commitd commit' writes its leases itself, beside us. So a file that we do not know may appear at any time, but only
 * while we do not have `lock`; whoever unlinks content takes it first, and looks for such files then.
 */
#ifndef SLUICE_COMMITD_LEASES_H
#define SLUICE_COMMITD_LEASES_H

#include <sys/types.h>

#include "commitd/pins.h"
#include "common/oci/transfer.h"
#include "common/store/lease.h"

#define LEASES_MAX     4096
#define LEASES_OF_UID  256 /* of one user; beyond that, the one that was left first ends */
#define LEASES_FOUND_S 60u /* in which clients must have called again after a restart */
#define LEASE_LOCK     "lock"

struct leases;

struct lease_order {
	char id[LEASE_ID_MAX + 1];
	uint64_t client; /* who asks: a number of ctl */
	uid_t uid;
	char purpose[LEASE_PURPOSE_MAX + 1]; /* empty: only if there is such a lease */
	uint64_t ttl_s;
	struct span ref;     /* what is committed for this ref belongs to it, until commitd ends; may be empty */
	struct span members; /* words as in a lease's lines, separated by blanks; may be empty */
};

/* Read what is there. `pins` is borrowed. 0 or -errno, with a reason. */
int leases_open(struct layout *l, struct pins *pins, struct leases **ret_leases, struct reason *why);
void leases_close(struct leases *ls);

size_t leases_len(const struct leases *ls);

/*
 * Take, extend or renew a lease. FAIL_NONE: it is on disk. FAIL_NOT_FOUND: it has ended, and `purpose` is empty.
 * FAIL_DENIED: it is another user's. FAIL_USAGE, FAIL_SPACE, FAIL_IO, FAIL_AGAIN (over a limit), with a reason; nothing has
 * changed then. Blocks in fsync.
 */
enum fail_class leases_take(struct leases *ls, const struct lease_order *order, struct reason *why);

/* One client needs it no more; it ends with the last. FAIL_NONE also if there is none; FAIL_DENIED. */
enum fail_class leases_release(struct leases *ls, const char *id, uint64_t client, uid_t uid, struct reason *why);

/* A client's connection is closed. */
void leases_left(struct leases *ls, uint64_t client);

/* Something was committed for a ref. */
void leases_committed(struct leases *ls, struct span ref, const struct digest *d);

/* Pin what was committed for refs of leases that still last. */
void leases_pin_committed(const struct leases *ls);

/*
 * Until the descriptor is closed, no 'commitd commit' writes a lease; those that it wrote before are known then, and
 * pinned. 0; -EWOULDBLOCK: one is at it, and `why` says which; or another -errno with a reason.
 */
int leases_lock(struct leases *ls, int *ret_fd, struct reason *why);

/* End all whose time is over, and those that are left and have been idle for `idle_s`. Call it with the lock. */
void leases_prune(struct leases *ls, uint64_t idle_s);

/* Those that last; the rest are the ones that leases_prune() would end. */
struct lease_view {
	const char *id, *purpose;
	uint64_t idle_s; /* 0 if it is held */
};
int leases_each(const struct leases *ls, uint64_t idle_s, int (*visit)(void *self, const struct lease_view *v),
		void *self);

/*
 * By hand, beside any number of others and a daemon: keep what is about to be committed for LEASE_BY_HAND_S. From 0 on, no
 * gc removes it. Blocks in fsync and while a gc unlinks. 0 or -errno.
 */
int leases_take_by_hand(const struct layout *l, const struct digest *d);

#endif
