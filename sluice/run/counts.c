/* SPDX-License-Identifier: Apache-2.0 */
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

/* Wire */
#include "common/wire/ctl_client.h"

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

static void ask(struct counts *c, enum stage_id stage, struct ctl_client *ctl)
{
	const struct message request = {.type = MSG_STATS, .stage = (uint8_t)stage};
	struct reason *why = &c->stages[stage].why;
	struct message answer;

	int r = ctl_ask(ctl, &request, COUNTS_PATIENCE_MS, &answer);
	if (r == 0)
		take_answer(c, stage, &answer);
	else if (r == -EBADMSG)
		reason_set(why, "it speaks another version of the protocol");
	else
		reason_set(why, "running, but does not answer");
}

/* Whether the stage accepts connections, by what ctl_open() returned. */
static bool accepts(int r)
{
	return r == 0 || r == -EAGAIN || r == -EPROTO || r == -ETIMEDOUT || r == -EPIPE || r == -EBADMSG;
}

/* Do not wait for a stage that does not run. */
static void gather_from(struct counts *c, const char *runtime_dir, enum stage_id stage)
{
	struct ctl_client *ctl = NULL;
	struct counts_stage *s = &c->stages[stage];
	struct message pong;

	int r = ctl_open(runtime_dir, stage, COUNTS_PATIENCE_MS, &ctl, &pong, &s->why);
	s->runs = accepts(r);
	if (r == -ENOENT || r == -ECONNREFUSED)
		reason_set(&s->why, "not running");
	if (r == 0) {
		ask(c, stage, ctl);
		if (stage == STAGE_INGESTD && s->up && c->stages[STAGE_FETCHD].runs)
			ask(c, STAGE_FETCHD, ctl);
	}
	ctl_disconnect(ctl);
}

void counts_gather(const char *runtime_dir, struct counts *ret_counts)
{
	struct counts *c = ret_counts;
	AUTO_FD dir_fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int error = errno;
	struct counts_stage *fetchd = &c->stages[STAGE_FETCHD];

	memset(c, 0, sizeof(*c));
	if (dir_fd < 0) {
		for (enum stage_id stage = STAGE_FETCHD; stage <= STAGE_COMMITD; stage++) {
			struct reason *why = &c->stages[stage].why;
			if (error == ENOENT)
				reason_set(why, "not running");
			else
				reason_set(why, "cannot open '%s': %s", runtime_dir, strerror(error));
		}
		return;
	}
	fetchd->runs = stage_runs(dir_fd, STAGE_FETCHD);
	reason_set(&fetchd->why,
		   fetchd->runs ? "running, but its counts are available only through ingestd" : "not running");
	gather_from(c, runtime_dir, STAGE_INGESTD);
	gather_from(c, runtime_dir, STAGE_COMMITD);
}
