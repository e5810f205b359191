/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/doctor_stages.h"

/* System */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* Base */
#include "common/base/boot.h"
#include "common/base/clock.h"
#include "common/base/date.h"
#include "common/base/hasher.h"
#include "common/base/text.h"
#include "common/base/version.h"

/* Wire */
#include "common/wire/ctl_client.h"

#define CLOCKS_APART_S 5u /* allowed between two readings of one clock, with a request in between on a busy machine */

/* What these checks work on. */
struct check {
	const struct context *ctx;
	const struct counts *counts;
	bool services;
	struct findings *findings;
};

static const char *how_to_restart(const struct check *c)
{
	return c->services ? "run 'systemctl restart sluice.target'; \"journalctl -u 'sluice*'\" says why it stopped"
			   : "restart 'sluice up', or whatever runs the stages; its log says why it stopped";
}

static void check_up(const struct check *c)
{
	const struct counts_stage *stages = c->counts->stages;

	if (!c->services && !stages[STAGE_FETCHD].runs && !stages[STAGE_INGESTD].runs && !stages[STAGE_COMMITD].runs) {
		finding_report(c->findings, FINDING_OK, "stages", NULL,
			       "none is running: pull and fetch start their own");
		return;
	}
	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const struct counts_stage *s = &stages[i];
		const char *name = stage_name(i);
		char since[DATE_TEXT_SIZE];
		date_format(s->started_s, since);
		if (s->up)
			finding_report(c->findings, FINDING_OK, name, NULL, "up since %s", since);
		else
			finding_report(c->findings, FINDING_FAIL, name, how_to_restart(c), "%s", s->why.text);
	}
}

/* Each pipe between the stages has one process at its other end. More would take each other's messages. */
static void check_pipes(const struct check *c)
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
	bool all = counts_any_up(c->counts);

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		unsigned peers = (unsigned)c->counts->values[rows[i].peers];
		if (!c->counts->stages[rows[i].binder].up || peers == 1)
			continue;
		all = false;
		if (peers == 0)
			finding_report(c->findings, FINDING_FAIL, "pipes", how_to_restart(c),
				       "%s is not connected to '%s'", rows[i].peer, rows[i].pipe);
		else
			finding_report(c->findings, FINDING_FAIL, "pipes",
				       "stop all but one: they take each other's messages",
				       "%u processes are connected to '%s'", peers, rows[i].pipe);
	}
	if (all)
		finding_report(c->findings, FINDING_OK, "pipes", NULL, "all are connected");
}

static void check_versions(const struct check *c)
{
	bool all = counts_any_up(c->counts);

	for (enum stage_id i = STAGE_FETCHD; i <= STAGE_COMMITD; i++) {
		const struct counts_stage *s = &c->counts->stages[i];
		if (!s->up || strcmp(s->version, SLUICE_VERSION) == 0)
			continue;
		all = false;
		finding_report(c->findings, FINDING_FAIL, "versions",
			       "restart it, or install all four programs of one version",
			       "%s has version %s, this command has " SLUICE_VERSION, stage_name(i), s->version);
	}
	if (all)
		finding_report(c->findings, FINDING_OK, "versions", NULL,
			       "all running stages have version " SLUICE_VERSION);
}

static void check_store(const struct check *c, const char *name, const struct message *pong)
{
	struct stat st;

	if (stat(c->ctx->places.store, &st) == 0 && st.st_dev == pong->dev && st.st_ino == pong->ino)
		finding_report(c->findings, FINDING_OK, "served", NULL, "%s serves this store", name);
	else
		finding_report(c->findings, FINDING_FAIL, "served", "pass the right --store or --runtime-dir",
			       "%s serves '%.*s', not '%s'", name, SPAN_ARG(pong->text), c->ctx->places.store);
}

static void check_clock(const struct check *c, const char *name, const struct message *pong)
{
	uint64_t ours = clock_wall_s(), theirs = pong->updated_s;
	uint64_t apart = ours > theirs ? ours - theirs : theirs - ours;
	char text[DATE_TEXT_SIZE];

	date_format(theirs, text);
	if (apart > CLOCKS_APART_S)
		finding_report(c->findings, FINDING_FAIL, "clock", "check for faketime or a time namespace",
			       "the clock of %s shows %s", name, text);
	else
		finding_report(c->findings, FINDING_OK, "clock", NULL, "%s shows the same time", name);
}

/* With a wrong boot ID that survives reboots, ingestd would trust bytes that a power cut has lost. */
static void check_boot(const struct check *c, const char *name, const struct message *pong)
{
	uint8_t id[BOOT_ID_SIZE];
	char text[2 * BOOT_ID_SIZE + 1];

	if (pong->boot.len == 0)
		return;
	if (boot_id_read(NULL, id) < 0) {
		finding_report(c->findings, FINDING_WARN, "boot", "run it outside the sandbox",
			       "cannot read the boot id here");
		return;
	}
	hex_encode(id, sizeof(id), text);
	if (span_eq(pong->boot, span_str(text)))
		finding_report(c->findings, FINDING_OK, "boot", NULL, "%s has this machine's boot id", name);
	else
		finding_report(c->findings, FINDING_FAIL, "boot", "start it without --boot-id, or with systemd's %b",
			       "%s was given boot id '%.*s', this boot is '%s'", name, SPAN_ARG(pong->boot), text);
}

static void check_identity(const struct check *c, enum stage_id stage)
{
	const char *name = stage_name(stage);
	struct message pong;
	struct reason why;
	struct ctl_client *ctl = NULL;

	if (!c->counts->stages[stage].up)
		return;
	if (ctl_open(c->ctx->places.runtime, stage, COUNTS_PATIENCE_MS, &ctl, &pong, &why) == 0) {
		check_store(c, name, &pong);
		check_clock(c, name, &pong);
		check_boot(c, name, &pong);
	} else {
		finding_report(c->findings, FINDING_FAIL, "ping", how_to_restart(c), "%s does not answer any more",
			       name);
	}
	ctl_disconnect(ctl);
}

static void check_writing(const struct check *c)
{
	static const struct {
		enum stage_id stage;
		enum counter writes;
		const char *where;
	} rows[] = {{STAGE_INGESTD, COUNT_INGESTD_WRITES, "ingest/"}, {STAGE_COMMITD, COUNT_COMMITD_WRITES, "blobs/"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *name = stage_name(rows[i].stage);
		if (!c->counts->stages[rows[i].stage].up)
			continue;
		if (c->counts->values[rows[i].writes])
			finding_report(c->findings, FINDING_OK, "writing", NULL, "%s can write to %s", name,
				       rows[i].where);
		else
			finding_report(c->findings, FINDING_FAIL, "writing",
				       "check owner and mode, and whether the mount is read-only",
				       "%s cannot write to '%s/%s'", name, c->ctx->places.store, rows[i].where);
	}
}

/* What gc would free, now and at most: a dry run. False: there is no answer, or not in time. */
static bool ask_unneeded(const struct check *c, enum stage_id stage, uint64_t *ret_bytes, struct reason *ret_obstacle)
{
	const struct message gc = {.type = MSG_GC, .flags = GC_FLAG_DRY_RUN | GC_FLAG_ENDS_IDLE, .size = SIZE_UNKNOWN};
	struct message answer;
	struct ctl_client *ctl = NULL;
	bool is_answered = ctl_open(c->ctx->places.runtime, stage, COUNTS_PATIENCE_MS, &ctl, &answer, NULL) == 0 &&
			   ctl_ask(ctl, &gc, COUNTS_PATIENCE_MS, &answer) == 0 && answer.type == MSG_COLLECTED;

	if (is_answered) {
		*ret_bytes = answer.removed_bytes;
		if (answer.fail_class != FAIL_NONE)
			reason_set(ret_obstacle, "%.*s", SPAN_ARG(answer.text));
	}
	ctl_disconnect(ctl);
	return is_answered;
}

static void check_unneeded(const struct check *c)
{
	uint64_t blobs, transfers;
	struct reason obstacle = {""};
	char text[TEXT_PROSE_ROOM];

	if (!c->counts->stages[STAGE_INGESTD].up || !c->counts->stages[STAGE_COMMITD].up ||
	    !ask_unneeded(c, STAGE_COMMITD, &blobs, &obstacle) ||
	    !ask_unneeded(c, STAGE_INGESTD, &transfers, &obstacle))
		return;
	text_size_prose(blobs + transfers, text);
	if (obstacle.text[0] != '\0')
		finding_report(c->findings, FINDING_WARN, "unneeded", "see 'sluice gc --dry-run'", "%s", obstacle.text);
	else if (blobs + transfers > 0)
		finding_report(c->findings, FINDING_OK, "unneeded", NULL,
			       "%s could be freed: 'sluice gc --older-than 0'", text);
	else
		finding_report(c->findings, FINDING_OK, "unneeded", NULL, "nothing: gc would free no space");
}

static void check_servers(const struct check *c)
{
	uint64_t open = c->counts->values[COUNT_BREAKERS_OPEN];

	if (!c->counts->stages[STAGE_FETCHD].up)
		return;
	if (open == 0)
		finding_report(c->findings, FINDING_OK, "servers", NULL, "none that fetchd asked is unavailable");
	else
		finding_report(c->findings, FINDING_WARN, "servers",
			       "fetchd's log names them; remove mirrors that are gone from sluice.conf",
			       "%" PRIu64 " of those that fetchd asked %s unavailable", open, open == 1 ? "is" : "are");
}

void doctor_check_stages(const struct context *ctx, bool services, const struct counts *counts, struct findings *f)
{
	const struct check c = {.ctx = ctx, .counts = counts, .services = services, .findings = f};

	check_up(&c);
	check_pipes(&c);
	check_versions(&c);
	check_identity(&c, STAGE_INGESTD);
	check_identity(&c, STAGE_COMMITD);
	check_writing(&c);
	check_servers(&c);
	check_unneeded(&c);
}
