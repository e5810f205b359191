/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/turn.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/queue.h"
#include "ingestd/verdict.h"

#define TICK_MS 500

struct turn {
	struct loop *loop;
	struct flow *flow;
	struct loop_timer tick;
	struct loop_hook end;
	bool stopping;
};

static bool is_silent(const struct flow *f, const struct transfer *t, uint64_t now_ms)
{
	return now_ms - t->heard_ms >= f->settings->lease_ms;
}

static void tick_ordered(struct flow *f, struct transfer *t, uint64_t now_ms)
{
	if (!is_silent(f, t, now_ms)) {
		flow_checkpoint_if_due(f, t, now_ms);
		return;
	}
	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = t->ref}, "transfer '%s' is silent: ordering it again",
		 t->ref);
	count_add(COUNT_SILENT, 1);
	flow_do(f, t, STEP_ORDER);
}

static void tick_sealed(struct flow *f, struct transfer *t, uint64_t now_ms)
{
	if (!is_silent(f, t, now_ms))
		return;
	transfer_enter(t, PHASE_SEAL_DUE);
	transfer_await(t);
	seals_flush(f->seals);
}

/*
 * Check the file system's numbers first, which costs nothing. They do not include quotas, so the space is also reserved
 * before anything is requested from a server.
 */
static void tick_for_space(struct flow *f, struct transfer *t, uint64_t now_ms)
{
	struct reason why;

	if (transfer_is_busy(t) || now_ms < t->space_ms)
		return;
	if (t->in)
		flow_checkpoint_if_due(f, t, now_ms);
	if (transfer_is_busy(t))
		return;
	if (t->in ? verdict_space(t->in, &why) : verdict_room(f->home->layout))
		flow_space_is_back(f, t);
	else
		transfer_forget_tries(t);
}

static void tick_transfer(struct flow *f, struct transfer *t, uint64_t now_ms)
{
	transfer_check(t);
	switch (t->phase) {
	case PHASE_ORDER_DUE:
	case PHASE_ORDERED:
		tick_ordered(f, t, now_ms);
		break;
	case PHASE_SEAL_DUE:
	case PHASE_SEAL_SENT:
		tick_sealed(f, t, now_ms);
		break;
	case PHASE_FOR_SPACE:
		tick_for_space(f, t, now_ms);
		break;
	case PHASE_FOR_LOCK:
		flow_enter(f, t, PHASE_QUEUED);
		break;
	default:
		break;
	}
}

static void on_tick(void *self)
{
	struct turn *turn = self;
	struct flow *f = turn->flow;
	uint64_t now_ms = clock_mono_ms();

	for (size_t i = 0; i < f->transfers->len; i++)
		tick_transfer(f, f->transfers->by_ref[i], now_ms);
}

static void before_sleep(void *self)
{
	struct turn *turn = self;

	if (turn->stopping && !transfers_any_open(turn->flow->transfers))
		loop_break(turn->loop);
	if (turn->stopping || !turn->flow->start_due)
		return;
	turn->flow->start_due = false;
	queue_run(turn->flow);
}

int turn_new(struct loop *loop, struct flow *f, struct turn **ret_turn)
{
	struct turn *turn = calloc(1, sizeof(*turn));

	if (!turn)
		return -ENOMEM;
	turn->loop = loop;
	turn->flow = f;
	f->start_due = true;
	loop_timer_init(&turn->tick, loop, on_tick, turn);
	loop_timer_every(&turn->tick, TICK_MS, TICK_MS);
	loop_hook_start(&turn->end, loop, before_sleep, turn);
	*ret_turn = turn;
	return 0;
}

void turn_stop(struct turn *turn)
{
	struct transfers *ts = turn->flow->transfers;

	turn->stopping = true;
	loop_timer_stop(&turn->tick);
	for (size_t i = 0; i < ts->len; i++)
		if (ts->by_ref[i]->in)
			flow_halt(turn->flow, ts->by_ref[i], STEP_SUSPEND);
}

void turn_free(struct turn *turn)
{
	if (!turn)
		return;
	loop_timer_stop(&turn->tick);
	loop_hook_stop(&turn->end);
	free(turn);
}
