/* Own header */
#include "sluice/run/client.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/exit.h"

/* Sluice */
#include "sluice/run/interrupt.h"

/*
 * One question waits so long before it is asked again. A PING at first little, so that a stage that cannot start is
 * noticed at once. The others longer, so that one with much to do comes to answer: a GET that is asked twice starts a
 * transfer again that has failed in between.
 */
#define PING_MIN_MS    100u
#define ASK_MIN_MS     1000u
#define ASK_MAX_MS     1600u
#define NOTE_AFTER_MS  1500u
#define RENEW_AFTER_MS 2000u /* a question that nobody answers for so long goes over a new connection */

struct client {
	struct client_options options;
	struct pipe *ctl[STAGE_COMMITD + 1]; /* by stage; nobody can ask fetchd */
	struct pipe *events;
	uint64_t incarnation; /* of ingestd */
};

static int open_pipes(struct client *c, struct reason *why)
{
	const char *dir = c->options.runtime_dir;
	int r = pipe_open(dir, PIPE_INGEST_CTL, PIPE_REQUEST, &c->ctl[STAGE_INGESTD]);

	if (r == 0)
		r = pipe_open(dir, PIPE_COMMIT_CTL, PIPE_REQUEST, &c->ctl[STAGE_COMMITD]);
	if (r == 0)
		r = pipe_open(dir, PIPE_INGEST_EVENTS, PIPE_SUBSCRIBE, &c->events);
	if (r < 0)
		reason_set(why, "cannot connect to the stages in '%s': %s", dir, strerror(-r));
	return r < 0 ? exit_code_of(r) : 0;
}

/* The PONG's store must be ours: two paths may well be one directory, and one path may have become another. */
static int check_store(const struct client *c, enum stage_id stage, const struct message *pong, struct reason *why)
{
	struct stat st;

	if (stat(c->options.store, &st) == 0 && st.st_dev == pong->dev && st.st_ino == pong->ino)
		return 0;
	reason_set(why, "%s on '%s' serves the store '%.*s' and not '%s'", stage_name(stage), c->options.runtime_dir,
		   SPAN_ARG(pong->text), c->options.store);
	return EX_CONFIG;
}

static int ping(struct client *c, enum stage_id stage, uint64_t *ret_incarnation, struct reason *why)
{
	const struct message request = {.type = MSG_PING};
	struct message answer;
	int code = client_demand(c, stage, &request, MSG_PONG, &answer, why);

	if (code == 0)
		code = check_store(c, stage, &answer, why);
	if (code == 0)
		*ret_incarnation = answer.incarnation;
	return code;
}

int client_open(const struct client_options *options, struct client **ret_client, struct reason *why)
{
	struct client *c = calloc(1, sizeof(*c));
	uint64_t other;

	if (!c) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	c->options = *options;
	int code = open_pipes(c, why);
	if (code == 0)
		code = ping(c, STAGE_INGESTD, &c->incarnation, why);
	if (code == 0)
		code = ping(c, STAGE_COMMITD, &other, why);
	if (code != 0) {
		client_close(c);
		return code;
	}
	*ret_client = c;
	return 0;
}

void client_close(struct client *c)
{
	if (!c)
		return;
	for (enum stage_id stage = STAGE_INGESTD; stage <= STAGE_COMMITD; stage++)
		pipe_close(c->ctl[stage]);
	pipe_close(c->events);
	free(c);
}

/* One question, and what is left of its time where it cannot even be put. 0, -ETIMEDOUT or another -errno. */
static int ask_once(struct pipe *p, const struct message *request, unsigned wait_ms, struct message *ret_answer)
{
	uint64_t end_ms = clock_mono_ms() + wait_ms;
	int r = pipe_ask(p, request, wait_ms, ret_answer);

	if (r == 0 || r == -ENOMEM)
		return r;
	uint64_t now_ms = clock_mono_ms();
	if (now_ms < end_ms)
		(void)poll(NULL, 0, (int)(end_ms - now_ms));
	return -ETIMEDOUT;
}

int client_ask(struct client *c, enum stage_id stage, const struct message *request, struct message *ret_answer,
	       struct reason *why)
{
	uint64_t begin_ms = clock_mono_ms(), renewed_ms = 0;
	unsigned wait_ms = request->type == MSG_PING ? PING_MIN_MS : ASK_MIN_MS;
	bool noted = false;

	for (;;) {
		int r = ask_once(c->ctl[stage], request, wait_ms, ret_answer);
		if (r == 0)
			return 0;
		if (interrupt_seen()) {
			reason_set(why, "interrupted");
			return EXIT_INTERRUPTED;
		}
		uint64_t silent_ms = clock_mono_ms() - begin_ms;
		if (silent_ms - renewed_ms >= RENEW_AFTER_MS) {
			renewed_ms = silent_ms;
			(void)pipe_renew(c->ctl[stage]);
		}
		int code = c->options.stages ? stages_check(c->options.stages, why) : 0;
		if (code != 0)
			return code;
		if (r != -ETIMEDOUT || silent_ms >= c->options.patience_ms) {
			reason_set(why, "%s does not answer on '%s'", stage_name(stage), c->options.runtime_dir);
			return EX_TEMPFAIL;
		}
		if (!noted && silent_ms >= NOTE_AFTER_MS && c->options.note) {
			c->options.note(c->options.self,
					stage == STAGE_INGESTD ? "waiting for ingestd" : "waiting for commitd");
			noted = true;
		}
		wait_ms = wait_ms < ASK_MAX_MS ? 2 * wait_ms : ASK_MAX_MS;
	}
}

int client_demand(struct client *c, enum stage_id stage, const struct message *request, enum message_type wanted,
		  struct message *ret_answer, struct reason *why)
{
	int code = client_ask(c, stage, request, ret_answer, why);

	if (code != 0 || ret_answer->type == wanted)
		return code;
	if (ret_answer->type == MSG_ERROR) {
		reason_set(why, "%.*s", SPAN_ARG(ret_answer->text));
		return fail_exit_code((enum fail_class)ret_answer->fail_class);
	}
	reason_set(why, "%s answers %s to %s", stage_name(stage), message_name(ret_answer->type),
		   message_name(request->type));
	return EX_PROTOCOL;
}

int client_check_incarnation(struct client *c, bool *ret_changed, struct reason *why)
{
	uint64_t incarnation;
	int code = ping(c, STAGE_INGESTD, &incarnation, why);

	if (code != 0)
		return code;
	*ret_changed = incarnation != c->incarnation;
	c->incarnation = incarnation;
	return 0;
}

bool client_event(struct client *c, unsigned wait_ms, struct message *ret_event)
{
	struct pollfd fd = {.fd = pipe_receive_fd(c->events), .events = POLLIN};
	int r = pipe_receive(c->events, ret_event, NULL);

	if (r == -EAGAIN && wait_ms > 0 && poll(&fd, 1, (int)wait_ms) > 0)
		r = pipe_receive(c->events, ret_event, NULL);
	return r == 0;
}
