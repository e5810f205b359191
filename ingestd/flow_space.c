#include "ingestd/flow_steps.h"

/* Base */
#include "common/base/clock.h"

/* ingestd */
#include "ingestd/verdicts.h"

#define RESERVE_MIN (UINT64_C(1) << 20) /* bytes; for less it is not worth a job */

/* Between tries that fail although there seems to be space, as where a quota is what is full. */
#define SPACE_PAUSE_MIN_MS UINT64_C(500)
#define SPACE_PAUSE_MAX_MS UINT64_C(16000)

/* The pause before the next try; each that brought nothing doubles it. */
static uint64_t next_pause_ms(struct task *t)
{
	uint64_t offset = t->in ? t->in->offset : 0;
	uint64_t pause_ms = SPACE_PAUSE_MIN_MS;

	if (offset > t->space_offset)
		t->space_tries = 0;
	t->space_offset = offset;
	for (unsigned i = 0; i < t->space_tries && pause_ms < SPACE_PAUSE_MAX_MS; i++)
		pause_ms *= 2;
	t->space_tries++;
	return pause_ms;
}

void flow_wait_for_space(struct desk *desk, struct task *t, const char *text)
{
	if (t->in)
		flow_call_off(desk, t);
	task_note(t, text);
	flow_set_state(desk, t, TRANSFER_WAITING);
	t->space_wait = true;
	t->space_ms = clock_mono_ms() + next_pause_ms(t);
}

/* Last in the queue: others have not stopped asking meanwhile, and fetchd runs only so many at once. */
static void space_is_back(struct desk *desk, struct task *t)
{
	t->turn = ++desk->tasks.turn;
	flow_set_state(desk, t, TRANSFER_QUEUED);
	desk_schedule(desk);
}

/*
 * The file system's word comes first, since it costs nothing. A quota has no part in it: so the space is reserved
 * before anything is asked of a server.
 */
void flow_space_tick(struct desk *desk, struct task *t, uint64_t now_ms)
{
	struct reason why;

	if (t->syncing || now_ms < t->space_ms)
		return;
	if (t->in)
		step_checkpoint_if_due(desk, t, now_ms);
	if (t->syncing)
		return;
	if (!(t->in ? verdict_space(t->in, &why) : verdict_room(desk->home.layout))) {
		t->space_tries = 0;
		return;
	}
	if (t->in && !step_is_complete(t->in))
		step_submit(desk, t, SYNC_RESERVE, space_is_back);
	else
		space_is_back(desk, t);
}

bool step_wants_reserve(const struct task *t)
{
	const struct record *record = &t->in->record;

	return !t->syncing && record->size != SIZE_UNKNOWN && record->size - t->in->offset >= RESERVE_MIN;
}

static void order_reserved(struct desk *desk, struct task *t)
{
	t->reserving = false;
	flow_order(desk, t);
}

bool step_reserve_first(struct desk *desk, struct task *t)
{
	struct reason why;

	if (!step_wants_reserve(t) || !verdict_space(t->in, &why))
		return false;
	if (t->state != TRANSFER_FETCHING)
		flow_set_state(desk, t, TRANSFER_FETCHING);
	t->heard_ms = clock_mono_ms();
	t->reserving = true;
	step_submit(desk, t, SYNC_RESERVE, order_reserved);
	return true;
}
