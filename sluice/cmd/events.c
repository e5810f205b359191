/*
 * events: what the stages publish, a JSON object a line. An event is a hint: who reads slowly misses some, and nobody
 * waits for him. So the stream tells when a stage comes and goes, which is when `status` is to be looked at anew.
 */

/* System */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Wire */
#include "common/wire/pipe.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/interrupt.h"
#include "sluice/show/status.h"

#define FEEDS          2
#define LOOK_MS        100   /* how often connections are looked at */
#define PING_EVERY_MS  1000u /* so often a stage is asked whether it is still the same */
#define RENEW_AFTER_MS 2000u /* a stage that does not answer for so long gets new connections */
#define EVENTS_A_TURN  256u  /* then the output, the clock and the other stage have theirs */

/* A stage: its events, and the pipe on which it says who it is. */
struct feed {
	const char *stage;
	enum pipe_name events_name, ctl_name;
	struct pipe *events, *ctl;
	uint64_t incarnation; /* that is told to be up, or 0 */
	uint64_t losses;      /* of event connections until then */
	uint64_t asked_ms, heard_ms;
};

struct stream {
	const struct context *ctx;
	struct feed feeds[FEEDS];
	struct buf out;
	bool ended; /* nobody reads any more */
};

/* One line. What memory does not allow is lost, like anything that a slow reader misses. */
static void say(struct stream *st, const struct json_t *event)
{
	size_t len = st->out.len;

	if (json_format(event, &st->out) < 0 || buf_append_str(&st->out, "\n") < 0)
		st->out.len = len;
}

/* The beginning of every event. The caller owns it; NULL when memory is out. */
static struct json_t *event_new(const char *type)
{
	char now[CLOCK_TEXT_SIZE];
	struct json_t *event = json_object_make();

	if (!event)
		return NULL;
	clock_format(clock_wall_s(), now);
	(void)json_set_text(event, "type", type);
	(void)json_set_text(event, "time", now);
	return event;
}

static void say_stage(struct stream *st, const struct feed *s, const char *state)
{
	AUTO_JSON event = event_new("stage");

	if (!event)
		return;
	(void)json_set_text(event, "stage", s->stage);
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

static void go_down(struct stream *st, struct feed *s)
{
	if (s->incarnation != 0)
		say_stage(st, s, "down");
	s->incarnation = 0;
}

/*
 * Whoever answers is there; its events are so once their connection stands. One that stood with a former incarnation
 * and never broke is the one that nanomsg does not know to be dead (see pipe_renew).
 */
static void take_pong(struct stream *st, struct feed *s, const struct message *m)
{
	uint64_t losses = pipe_losses(s->events);
	bool stands = pipe_peers(s->events) > 0;

	s->heard_ms = clock_mono_ms();
	if (m->type != MSG_PONG || (m->incarnation == s->incarnation && losses == s->losses))
		return;
	bool was_up = s->incarnation != 0;
	go_down(st, s);
	if (!stands || (was_up && losses == s->losses)) {
		(void)pipe_renew(s->events);
		s->losses = losses;
		s->asked_ms = 0;
		return;
	}
	s->incarnation = m->incarnation;
	s->losses = losses;
	say_stage(st, s, "up");
}

static void take_events(struct stream *st, struct feed *s)
{
	struct message m;

	for (unsigned i = 0; i < EVENTS_A_TURN; i++) {
		int r = pipe_receive(s->events, &m, NULL);
		if (r == 0 && m.type == MSG_RECORD)
			say_transfer(st, &m);
		else if (r == 0 && m.type == MSG_NAMED)
			say_image(st, &m);
		else if (r < 0 && r != -EBADMSG)
			return;
	}
}

/* Ask who it is when that is due; nothing waits for the answer. */
static void look_after(struct stream *st, struct feed *s)
{
	const struct message ping = {.type = MSG_PING};
	struct message answer;
	uint64_t now_ms = clock_mono_ms();

	if (pipe_losses(s->events) != s->losses)
		go_down(st, s);
	if (pipe_receive(s->ctl, &answer, NULL) == 0)
		take_pong(st, s, &answer);
	if (now_ms - s->heard_ms >= RENEW_AFTER_MS) {
		go_down(st, s);
		(void)pipe_renew(s->ctl);
		s->heard_ms = now_ms;
	}
	unsigned pause_ms = s->incarnation != 0 ? PING_EVERY_MS : LOOK_MS;
	if (now_ms - s->asked_ms >= pause_ms && pipe_send(s->ctl, &ping) == 0)
		s->asked_ms = now_ms;
}

/* Whole or not at all until Ctrl-C or the end of the reader. 0, or -errno. */
static int put(struct stream *st)
{
	const char *at = st->out.data;
	size_t left = st->out.len;

	while (left > 0 && !interrupt_seen()) {
		ssize_t n = write(STDOUT_FILENO, at, left);
		if (n < 0 && errno == EPIPE)
			st->ended = true;
		if (n < 0 && errno != EINTR)
			return st->ended ? 0 : -errno;
		at += n > 0 ? n : 0;
		left -= n > 0 ? (size_t)n : 0;
	}
	buf_clear(&st->out);
	return 0;
}

/* Sleep until something happens, or it is time to look after the connections. */
static void pause_stream(struct stream *st)
{
	struct pollfd fds[2 * FEEDS + 1] = {{.fd = STDOUT_FILENO}}; /* for the end of the reader alone */

	for (size_t i = 0; i < FEEDS; i++) {
		fds[2 * i + 1] = (struct pollfd){.fd = pipe_receive_fd(st->feeds[i].events), .events = POLLIN};
		fds[2 * i + 2] = (struct pollfd){.fd = pipe_receive_fd(st->feeds[i].ctl), .events = POLLIN};
	}
	if (poll(fds, 2 * FEEDS + 1, LOOK_MS) > 0 && (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)))
		st->ended = true;
}

static int follow(struct stream *st)
{
	int r = 0;

	while (r == 0 && !st->ended && !interrupt_seen()) {
		for (size_t i = 0; i < FEEDS; i++) {
			look_after(st, &st->feeds[i]);
			take_events(st, &st->feeds[i]);
		}
		r = put(st);
		if (r == 0)
			pause_stream(st);
	}
	return r;
}

static int open_feeds(struct stream *st)
{
	const char *dir = st->ctx->places.runtime;
	int r = 0;

	for (size_t i = 0; r == 0 && i < FEEDS; i++) {
		struct feed *s = &st->feeds[i];
		r = pipe_open(dir, s->events_name, PIPE_SUBSCRIBE, &s->events);
		if (r == 0)
			r = pipe_open(dir, s->ctl_name, PIPE_REQUEST, &s->ctl);
		s->heard_ms = clock_mono_ms();
	}
	return r;
}

static void close_feeds(struct stream *st)
{
	for (size_t i = 0; i < FEEDS; i++) {
		pipe_close(st->feeds[i].events);
		pipe_close(st->feeds[i].ctl);
	}
	buf_release(&st->out);
}

/* Nobody there is no failure: they come. Who may not come near them waits for ever, and is told so. */
static int check_reach(const struct context *ctx)
{
	if (access(ctx->places.runtime, X_OK) == 0)
		return 0;
	if (errno == ENOENT) {
		if (!ctx->quiet)
			log_notice("no stage runs on '%s' yet: waiting", ctx->places.runtime);
		return 0;
	}
	log_errno(-errno, "cannot reach the stages on '%s'", ctx->places.runtime);
	return EX_NOPERM;
}

static int run(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct stream st = {
	    .ctx = ctx,
	    .feeds = {{.stage = "ingestd", .events_name = PIPE_INGEST_EVENTS, .ctl_name = PIPE_INGEST_CTL},
		      {.stage = "commitd", .events_name = PIPE_COMMIT_EVENTS, .ctl_name = PIPE_COMMIT_CTL}},
	};

	int code = check_reach(ctx);
	if (code != 0)
		return code;
	interrupt_catch();
	int r = open_feeds(&st);
	if (r < 0) {
		log_errno(r, "cannot connect to the stages on '%s'", ctx->places.runtime);
		code = EX_OSERR;
	} else if ((r = follow(&st)) < 0) {
		log_errno(r, "cannot write to standard output");
		code = EX_IOERR;
	}
	close_feeds(&st);
	return code;
}

const struct verb command_events = {
    .name = "events",
    .usage = "",
    .summary = "follow what happens: a JSON object a line, until Ctrl-C",
    .help = "type is transfer (as in status --json), image (name, state named or removed,\n"
	    "digest) or stage (stage, state up or down); time is when it was received.\n"
	    "Events are hints: a slow reader misses some, and after each up the truth is in\n"
	    "status and images.\n",
    .run = run,
};
