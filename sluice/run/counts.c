/* Own header */
#include "sluice/run/counts.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/clock.h"
#include "common/base/lock.h"

/* Wire */
#include "common/wire/pipe.h"
#include "common/wire/stage.h"

#define ASK_MS 500u /* then it is asked again over a new connection */

enum stage_id counts_stage_of(enum counter counter)
{
	enum stage_id stage = STAGE_COMMITD;
	size_t len;

	while (stage > STAGE_FETCHD && counter < counters_of(stage, &len))
		stage--;
	return stage;
}

bool counts_any_up(const struct counts *c)
{
	return c->stages[STAGE_FETCHD].up || c->stages[STAGE_INGESTD].up || c->stages[STAGE_COMMITD].up;
}

uint64_t counts_timer_count(const struct counts *c, enum counter timer)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < TIMER_BUCKETS; i++)
		count += c->values[timer + i];
	return count;
}

static void take(struct counts *c, enum stage_id stage, const struct message *m)
{
	struct counts_stage *s = &c->stages[stage];

	s->up = true;
	s->why.text[0] = '\0';
	s->incarnation = m->incarnation;
	s->started_s = m->started_s;
	s->updated_s = m->updated_s;
	(void)snprintf(s->version, sizeof(s->version), "%.*s", SPAN_ARG(m->version));
	counters_decode(stage, m->counts, c->values);
}

static void take_answer(struct counts *c, enum stage_id stage, const struct message *m)
{
	struct reason *why = &c->stages[stage].why;

	if (m->type == MSG_COUNTS && m->stage == (uint8_t)stage)
		take(c, stage, m);
	else if (m->type == MSG_ERROR)
		reason_set(why, "%.*s", SPAN_ARG(m->text));
	else
		reason_set(why, "it answers %s to STATS", message_name(m->type));
}

static void ask(struct counts *c, enum stage_id stage, struct pipe *ctl)
{
	const struct message request = {.type = MSG_STATS, .stage = (uint8_t)stage};
	struct reason *why = &c->stages[stage].why;
	struct message answer;
	uint64_t end_ms = clock_mono_ms() + COUNTS_PATIENCE_MS;
	int r;

	while ((r = pipe_ask(ctl, &request, ASK_MS, &answer)) == -ETIMEDOUT && clock_mono_ms() < end_ms)
		(void)pipe_renew(ctl);
	if (r == 0)
		take_answer(c, stage, &answer);
	else if (r == -EBADMSG)
		reason_set(why, "it speaks another version of the protocol");
	else
		reason_set(why, "running, but does not answer");
}

/* A stage that does not run is not waited for. */
static void gather_from(struct counts *c, const char *runtime_dir, enum stage_id stage, enum pipe_name name)
{
	struct pipe *ctl = NULL;
	struct counts_stage *s = &c->stages[stage];

	if (!s->runs)
		return;
	int r = pipe_open(runtime_dir, name, PIPE_REQUEST, &ctl);
	if (r < 0) {
		reason_set(&s->why, "cannot connect: %s", strerror(-r));
		return;
	}
	ask(c, stage, ctl);
	if (stage == STAGE_INGESTD && s->up && c->stages[STAGE_FETCHD].runs)
		ask(c, STAGE_FETCHD, ctl);
	pipe_close(ctl);
}

void counts_gather(const char *runtime_dir, struct counts *ret_counts)
{
	struct counts *c = ret_counts;
	AUTO_FD dir_fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = errno;

	memset(c, 0, sizeof(*c));
	for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++) {
		struct counts_stage *s = &c->stages[stage];
		s->runs = dir_fd >= 0 && lock_is_held_at(dir_fd, stage_lock(stage));
		if (dir_fd < 0)
			reason_set(&s->why, "cannot open '%s': %s", runtime_dir, strerror(error));
		else if (!s->runs)
			reason_set(&s->why, "not running");
	}
	if (c->stages[STAGE_FETCHD].runs)
		reason_set(&c->stages[STAGE_FETCHD].why, "running, but only ingestd could tell more");
	gather_from(c, runtime_dir, STAGE_INGESTD, PIPE_INGEST_CTL);
	gather_from(c, runtime_dir, STAGE_COMMITD, PIPE_COMMIT_CTL);
}
