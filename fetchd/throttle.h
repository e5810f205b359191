/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bandwidth limits of a transfer: its own, its host's and that of all transfers. While they hold bytes back, all
 * exchanges of the transfer are paused; they are resumed together.
 */
#ifndef SLUICE_FETCHD_THROTTLE_H
#define SLUICE_FETCHD_THROTTLE_H

#include "common/base/loop.h"
#include "fetchd/config/policy.h"
#include "fetchd/host.h"

struct throttle {
	struct bucket *all;      /* of all transfers; borrowed */
	const struct turn *turn; /* with the host whose limit applies, while there is one; borrowed */
	struct bucket *shared;   /* of all transfers under the same terms, or NULL; borrowed */
	uint64_t shared_rate;    /* what these allow */
	struct bucket own;
	struct loop_timer pause; /* set while bytes are held back */
};

/* `resume` is called when bytes may be accepted again. `t` is all zero. */
void throttle_init(struct throttle *t, struct loop *loop, struct bucket *all, const struct turn *turn,
		   void (*resume)(void *self), void *self);

/* Transfers with this bucket (borrowed) may take so many bytes per second together. */
void throttle_share(struct throttle *t, struct bucket *b, uint64_t rate);

/* May be called for a throttle that is all zero. */
void throttle_release(struct throttle *t);

/*
 * Whether no bytes may be accepted now, because that would exceed the rate that `p` allows; then `resume` will be
 * called.
 */
bool throttle_holds(struct throttle *t, const struct policy *p);

/* `len` bytes were accepted. */
void throttle_took(struct throttle *t, size_t len);

bool throttle_is_paused(const struct throttle *t);

#endif
