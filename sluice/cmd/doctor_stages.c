/* Own header */
#include "sluice/cmd/doctor.h"

/* System */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/hasher.h"
#include "common/base/lock.h"

/* Wire */
#include "common/wire/pipe.h"

#define CLOCKS_APART_S 5u /* two readings of one clock, with a question in between on a busy machine */

static const char *how_to_start(const struct doctor *d)
{
	return d->services ? "systemctl restart sluice.target; journalctl -u 'sluice*' says why it went"
			   : "restart what runs them ('sluice up'); its log says why it went";
}

void doctor_stages(struct doctor *d)
{
	const struct figures_stage *stages = d->figures.stages;

	if (!d->services && !stages[STAGE_FETCHD].runs && !stages[STAGE_INGESTD].runs && !stages[STAGE_COMMITD].runs) {
		doctor_say(d, FINDING_OK, "stages", NULL, "none runs: pull and fetch start their own");
		return;
	}
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const struct figures_stage *s = &stages[i];
		const char *name = figures_stage_name(i);
		char since[CLOCK_TEXT_SIZE];
		clock_format(s->started_s, since);
		if (s->up)
			doctor_say(d, FINDING_OK, name, NULL, "up since %s", since);
		else
			doctor_say(d, FINDING_FAIL, name, how_to_start(d), "%s", s->why.text);
	}
}

/* Each pipe between the stages has one process at its other end. More would take each other's messages. */
void doctor_pipes(struct doctor *d)
{
	static const struct {
		enum stage_id binder;
		enum counter peers;
		const char *pipe, *peer;
	} rows[] = {
	    {STAGE_INGESTD, COUNT_PEERS_ORDERS, "orders", "fetchd"},
	    {STAGE_INGESTD, COUNT_PEERS_CHUNKS, "chunks", "fetchd"},
	    {STAGE_INGESTD, COUNT_PEERS_RECEIPTS, "receipts", "commitd"},
	    {STAGE_COMMITD, COUNT_PEERS_SEALS, "seals", "ingestd"},
	};
	bool all = figures_any_up(&d->figures);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned peers = (unsigned)d->figures.values[rows[i].peers];
		if (!d->figures.stages[rows[i].binder].up || peers == 1)
			continue;
		all = false;
		if (peers == 0)
			doctor_say(d, FINDING_FAIL, "pipes", how_to_start(d), "%s is not connected to '%s'",
				   rows[i].peer, rows[i].pipe);
		else
			doctor_say(d, FINDING_FAIL, "pipes", "end all but one: they take each other's messages",
				   "%u processes are connected to '%s'", peers, rows[i].pipe);
	}
	if (all)
		doctor_say(d, FINDING_OK, "pipes", NULL, "each has its two ends");
}

void doctor_versions(struct doctor *d)
{
	bool all = figures_any_up(&d->figures);

	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const struct figures_stage *s = &d->figures.stages[i];
		if (!s->up || strcmp(s->version, SLUICE_VERSION) == 0)
			continue;
		all = false;
		doctor_say(d, FINDING_FAIL, "versions", "restart it: it was installed anew, or is another one",
			   "%s is of version %s, and this is " SLUICE_VERSION, figures_stage_name(i), s->version);
	}
	if (all)
		doctor_say(d, FINDING_OK, "versions", NULL, "all stages that are up are of version " SLUICE_VERSION);
}

static void check_store(struct doctor *d, const char *name, const struct message *pong)
{
	struct stat st;

	if (stat(d->ctx->places.store, &st) == 0 && st.st_dev == pong->dev && st.st_ino == pong->ino)
		doctor_say(d, FINDING_OK, "served", NULL, "%s serves this store", name);
	else
		doctor_say(d, FINDING_FAIL, "served", "say the one that you mean: --store, --runtime-dir",
			   "%s serves '%.*s', and this is '%s'", name, SPAN_ARG(pong->text), d->ctx->places.store);
}

static void check_clock(struct doctor *d, const char *name, const struct message *pong)
{
	uint64_t ours = clock_wall_s(), theirs = pong->updated_s;
	uint64_t apart = ours > theirs ? ours - theirs : theirs - ours;
	char text[CLOCK_TEXT_SIZE];

	clock_format(theirs, text);
	if (apart > CLOCKS_APART_S)
		doctor_say(d, FINDING_FAIL, "clock", "look who fakes the time of it", "for %s it is %s", name, text);
	else
		doctor_say(d, FINDING_OK, "clock", NULL, "%s reads the same", name);
}

/* A boot id that is given wrongly, the same over reboots, makes ingestd believe in bytes that a power cut took. */
static void check_boot(struct doctor *d, const char *name, const struct message *pong)
{
	uint8_t id[BOOT_ID_SIZE];
	char text[2 * BOOT_ID_SIZE + 1];

	if (pong->boot.len == 0)
		return;
	if (clock_boot_id(NULL, id) < 0) {
		doctor_say(d, FINDING_WARN, "boot", "ask from outside of the sandbox", "the boot id is not known here");
		return;
	}
	hex_encode(id, sizeof(id), text);
	if (span_eq(pong->boot, span_str(text)))
		doctor_say(d, FINDING_OK, "boot", NULL, "%s knows this boot", name);
	else
		doctor_say(d, FINDING_FAIL, "boot", "start it without --boot-id, or with what systemd gives as %b",
			   "%s takes this boot for '%.*s', and it is '%s'", name, SPAN_ARG(pong->boot), text);
}

static void identify(struct doctor *d, enum stage_id stage, enum pipe_name name)
{
	const struct message ping = {.type = MSG_PING};
	struct message pong;
	struct pipe *ctl = NULL;

	if (!d->figures.stages[stage].up)
		return;
	if (pipe_open(d->ctx->places.runtime, name, PIPE_REQUEST, &ctl) == 0 &&
	    pipe_ask(ctl, &ping, FIGURES_PATIENCE_MS, &pong) == 0 && pong.type == MSG_PONG) {
		check_store(d, figures_stage_name(stage), &pong);
		check_clock(d, figures_stage_name(stage), &pong);
		check_boot(d, figures_stage_name(stage), &pong);
	} else {
		doctor_say(d, FINDING_FAIL, "ping", how_to_start(d), "%s does not answer a PING any more",
			   figures_stage_name(stage));
	}
	pipe_close(ctl);
}

void doctor_identity(struct doctor *d)
{
	identify(d, STAGE_INGESTD, PIPE_INGEST_CTL);
	identify(d, STAGE_COMMITD, PIPE_COMMIT_CTL);
}

void doctor_writing(struct doctor *d)
{
	static const struct {
		enum stage_id stage;
		enum counter writes;
		const char *where;
	} rows[] = {{STAGE_INGESTD, COUNT_INGESTD_WRITES, "ingest/"}, {STAGE_COMMITD, COUNT_COMMITD_WRITES, "blobs/"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = figures_stage_name(rows[i].stage);
		if (!d->figures.stages[rows[i].stage].up)
			continue;
		if (d->figures.values[rows[i].writes])
			doctor_say(d, FINDING_OK, "writing", NULL, "%s may write in %s", name, rows[i].where);
		else
			doctor_say(d, FINDING_FAIL, "writing",
				   "look at owner and mode, and whether it is mounted read-only",
				   "%s may not write in '%s/%s'", name, d->ctx->places.store, rows[i].where);
	}
}
