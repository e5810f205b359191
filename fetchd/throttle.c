/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/throttle.h"

/* Base */
#include "common/base/clock.h"

/* NOLINTNEXTLINE(misc-redundant-expression): two limits that agree today */
_Static_assert(RATE_MAX <= BUCKET_RATE_MAX, "what can be configured fits in a bucket");

void throttle_init(struct throttle *t, struct loop *loop, struct bucket *all, const struct turn *turn,
		   void (*resume)(void *self), void *self)
{
	t->all = all;
	t->turn = turn;
	loop_timer_init(&t->pause, loop, resume, self);
}

void throttle_share(struct throttle *t, struct bucket *b, uint64_t rate)
{
	t->shared = b;
	t->shared_rate = rate;
}

void throttle_release(struct throttle *t)
{
	loop_timer_stop(&t->pause);
}

static struct bucket *host_bucket(const struct throttle *t)
{
	return t->turn->host ? &t->turn->host->bucket : NULL;
}

static uint64_t wait_of(struct bucket *b, uint64_t rate, uint64_t now_ms)
{
	if (!b)
		return 0;
	bucket_rate(b, rate, now_ms);
	return bucket_wait(b, now_ms);
}

bool throttle_holds(struct throttle *t, const struct policy *p)
{
	const struct speed_settings *speed = &p->host.speed;
	uint64_t now_ms = clock_mono_ms();
	const uint64_t waits_ms[] = {
	    wait_of(t->all, p->bandwidth, now_ms),
	    wait_of(host_bucket(t), speed->per_host, now_ms),
	    wait_of(t->shared, t->shared_rate, now_ms),
	    wait_of(&t->own, speed->per_transfer, now_ms),
	};
	uint64_t wait_ms = 0;
	for (size_t i = 0; i < sizeof(waits_ms) / sizeof(waits_ms[0]); i++)
		wait_ms = waits_ms[i] > wait_ms ? waits_ms[i] : wait_ms;
	if (wait_ms > 0 && !throttle_is_paused(t))
		loop_timer_set(&t->pause, wait_ms);
	return wait_ms > 0;
}

void throttle_took(struct throttle *t, size_t len)
{
	bucket_take(t->all, len);
	if (host_bucket(t))
		bucket_take(host_bucket(t), len);
	if (t->shared)
		bucket_take(t->shared, len);
	bucket_take(&t->own, len);
}

bool throttle_is_paused(const struct throttle *t)
{
	return loop_timer_is_set(&t->pause);
}
