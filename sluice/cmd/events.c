/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events: what the stages publish, one JSON object per line. Events are hints: a slow reader misses some. So the stream
 * says when a stage goes down or comes up, which is when to check `status` again.
 */

/* System */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/date.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Wire */
#include "common/wire/ctl_client.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/interrupt.h"
#include "sluice/show/status.h"

#define FEEDS         2
#define LOOK_MS       100   /* how often to look for a stage that is down */
#define ANSWER_MS     1000u /* for a stage to identify itself */
#define EVENTS_A_TURN 256u  /* in one turn, before the output and the other stage get theirs */

/* A stage, and the connection for its events. */
struct feed {
	enum stage_id stage;
	struct ctl_client *ctl; /* NULL: it is down */
};

struct stream {
	const struct context *ctx;
	struct feed feeds[FEEDS];
	struct buf out;
	bool ended; /* the reader is gone */
};

/* Append one line. Without memory it is lost, like any event that a slow reader misses. */
static void say(struct stream *st, const struct json_t *event)
{
	size_t len = st->out.len;

	if (json_format(event, &st->out) < 0 || buf_append_str(&st->out, "\n") < 0)
		st->out.len = len;
}

/* An event with the common keys. The caller owns it; NULL: out of memory. */
static struct json_t *event_new(const char *type)
{
	char now[DATE_TEXT_SIZE];
	struct json_t *event = json_object_make();

	if (!event)
		return NULL;
	date_format(clock_wall_s(), now);
	(void)json_set_text(event, "type", type);
	(void)json_set_text(event, "time", now);
	return event;
}

static void say_stage(struct stream *st, const struct feed *s, const char *state)
{
	AUTO_JSON event = event_new("stage");

	if (!event)
		return;
	(void)json_set_text(event, "stage", stage_name(s->stage));
	(void)json_set_text(event, "state", state);
	say(st, event);
}

static void say_transfer(struct stream *st, const struct message *m)
{
	AUTO_JSON event = event_new("transfer");
	struct status status;

	if (!event)
		return;
	status_of_message(m, &status);
	status_json_into(&status, event);
	say(st, event);
}

static void say_image(struct stream *st, const struct message *m)
{
	AUTO_JSON event = event_new("image");
	AUTO_BUF text = BUF_INIT;

	if (!event || buf_append(&text, m->name.data, m->name.len) < 0)
		return;
	(void)json_set_text(event, "name", text.data);
	(void)json_set_text(event, "state", m->digest.len > 0 ? "named" : "removed");
	buf_clear(&text);
	if (m->digest.len > 0 && buf_append(&text, m->digest.data, m->digest.len) == 0)
		(void)json_set_text(event, "digest", text.data);
	say(st, event);
}

/* A gc has ended: commitd's part, or ingestd's. */
static void say_gc(struct stream *st, const struct feed *s, const struct message *m)
{
	AUTO_JSON event = event_new("gc");
	struct reason why;

	if (!event)
		return;
	(void)json_set_text(event, "stage", stage_name(s->stage));
	(void)json_set_u64(event, "removed", m->removed);
	(void)json_set_u64(event, "removed_bytes", m->removed_bytes);
	(void)json_set_u64(event, "waiting", m->waiting);
	(void)json_set_u64(event, "waiting_bytes", m->waiting_bytes);
	(void)json_set_u64(event, "leased_bytes", m->leased_bytes);
	if (m->fail_class != FAIL_NONE) {
		reason_set(&why, "%.*s", SPAN_ARG(m->text));
		(void)json_set_text(event, "class", fail_class_name((enum fail_class)m->fail_class));
		(void)json_set_text(event, "error", why.text);
	}
	say(st, event);
}

/* The stage is gone, or we were too slow: either way, events may have been missed. */
static void go_down(struct stream *st, struct feed *s)
{
	ctl_disconnect(s->ctl);
	s->ctl = NULL;
	say_stage(st, s, "down");
}

/* 0: it is up, or may be later. -EPROTO: not with this protocol, which has been logged. */
static int look_for(struct stream *st, struct feed *s)
{
	const struct message all = {.type = MSG_SUBSCRIBE};
	struct message answer;
	struct reason why;
	struct ctl_client *ctl = NULL;

	int r = ctl_open(st->ctx->places.runtime, s->stage, ANSWER_MS, &ctl, &answer, &why);
	if (r == -EPROTO)
		log_error("%s", why.text);
	if (r == 0 && ctl_ask(ctl, &all, ANSWER_MS, &answer) == 0 && answer.type == MSG_OK) {
		s->ctl = ctl;
		say_stage(st, s, "up");
	} else {
		ctl_disconnect(ctl);
	}
	return r == -EPROTO ? r : 0;
}

static void take_events(struct stream *st, struct feed *s)
{
	struct message m;
	int r = 0;

	for (unsigned i = 0; i < EVENTS_A_TURN && (r = ctl_receive(s->ctl, 0, &m)) == 0; i++) {
		if (m.type == MSG_RECORD)
			say_transfer(st, &m);
		else if (m.type == MSG_NAMED)
			say_image(st, &m);
		else if (m.type == MSG_COLLECTED)
			say_gc(st, s, &m);
		else
			r = -EPIPE; /* an ERROR: it drops us */
		if (r < 0)
			break;
	}
	if (r < 0 && r != -EAGAIN)
		go_down(st, s);
}

/* Write complete lines, until Ctrl-C or the end of the reader. 0, or -errno, which has been logged. */
static int put(struct stream *st)
{
	const char *at = st->out.data;
	size_t left = st->out.len;

	while (left > 0 && !interrupt_seen()) {
		ssize_t n = write(STDOUT_FILENO, at, left);
		if (n < 0 && errno == EPIPE)
			st->ended = true;
		if (n < 0 && errno != EINTR)
			return st->ended ? 0 : log_errno(-errno, "cannot write to standard output");
		at += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	buf_clear(&st->out);
	return 0;
}

/* Sleep until something happens, or it is time to look for a stage. */
static void pause_stream(struct stream *st)
{
	struct pollfd fds[FEEDS + 1] = {{.fd = STDOUT_FILENO}}; /* only to notice that the reader is gone */

	for (size_t i = 0; i < FEEDS; i++)
		fds[i + 1] =
		    (struct pollfd){.fd = st->feeds[i].ctl ? ctl_client_fd(st->feeds[i].ctl) : -1, .events = POLLIN};
	if (poll(fds, FEEDS + 1, LOOK_MS) > 0 && (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)))
		st->ended = true;
}

static int follow(struct stream *st)
{
	int r = 0;

	while (r == 0 && !st->ended && !interrupt_seen()) {
		for (size_t i = 0; r == 0 && i < FEEDS; i++) {
			if (!st->feeds[i].ctl)
				r = look_for(st, &st->feeds[i]);
			if (st->feeds[i].ctl)
				take_events(st, &st->feeds[i]);
		}
		if (r == 0)
			r = put(st);
		if (r == 0)
			pause_stream(st);
	}
	return r;
}

static void close_feeds(struct stream *st)
{
	for (size_t i = 0; i < FEEDS; i++)
		ctl_disconnect(st->feeds[i].ctl);
	buf_release(&st->out);
}

static int reach(const struct context *ctx, enum stage_id stage)
{
	struct ctl_client *ctl = NULL;
	int r = ctl_connect(ctx->places.runtime, stage, &ctl);

	ctl_disconnect(ctl);
	return r;
}

/* Stages that are down may come up later. Without access to them we would wait for ever, so that is an error. */
static int check_reach(const struct context *ctx)
{
	int r = reach(ctx, STAGE_INGESTD);

	if (r == -EACCES) {
		log_errno(r, "cannot reach the stages on '%s'", ctx->places.runtime);
		return EX_NOPERM;
	}
	if (r < 0 && reach(ctx, STAGE_COMMITD) < 0 && !ctx->quiet)
		log_notice("no stage runs on '%s' yet: waiting", ctx->places.runtime);
	return 0;
}

static int run(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct stream st = {.ctx = ctx, .feeds = {{.stage = STAGE_INGESTD}, {.stage = STAGE_COMMITD}}};

	int code = check_reach(ctx);
	if (code != 0)
		return code;
	interrupt_catch();
	int r = follow(&st);
	if (r < 0)
		code = r == -EPROTO ? EX_PROTOCOL : EX_IOERR;
	close_feeds(&st);
	return code;
}

const struct verb command_events = {
    .name = "events",
    .usage = "",
    .summary = "follow what happens: one JSON object per line, until Ctrl-C",
    .help = "type is transfer (as in status --json), image (name, state named or removed,\n"
	    "digest) or stage (stage, state up or down); time is when it was received.\n"
	    "Events are hints: a slow reader misses some, and after each up the truth is in\n"
	    "status and images.\n",
    .run = run,
};
