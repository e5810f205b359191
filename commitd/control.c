#include "commitd/control.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/loop.h"

/* OCI */
#include "common/store/names.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/pipe.h"

/* Own */
#include "commitd/naming.h"

/* The request in hand: a name to set or to remove. */
struct request {
	enum message_type type;
	char name[NAME_MAX_BYTES + 1];
	struct descriptor descriptor;
	enum fail_class outcome;
	bool changed;
	struct reason why;
};

struct control {
	struct control_env env;
	struct pipe *pipe, *events;
	struct loop_io readable; /* inactive while a request is in hand */
	struct work work;
	bool busy, stopping;
	struct request request;
	struct log_limit bad_limit;
};

static void answer(struct control *c, const struct message *m)
{
	/* A failure means that the asker is gone or asks again. */
	(void)pipe_send(c->pipe, m);
}

static void answer_error(struct control *c, enum fail_class fail_class, const char *text)
{
	struct message m = {.type = MSG_ERROR, .fail_class = (uint8_t)fail_class, .text = span_str(text)};
	answer(c, &m);
}

static void answer_pong(struct control *c)
{
	struct reason path; /* of a store with a very long path, its beginning; device and inode identify it */
	reason_set(&path, "%s", layout_path(c->env.layout));
	struct message m = {
	    .type = MSG_PONG,
	    .incarnation = c->env.identity->incarnation,
	    .started_s = c->env.identity->started_s,
	    .updated_s = clock_wall_s(),
	    .version = span_str(SLUICE_VERSION),
	    .text = span_str(path.text),
	};
	layout_identity(c->env.layout, &m.dev, &m.ino);
	answer(c, &m);
}

static void answer_stats(struct control *c, const struct message *request)
{
	uint8_t counts[COUNTS_MAX];
	struct message m;
	if (request->stage != STAGE_COMMITD) {
		answer_error(c, FAIL_USAGE, "commitd knows its own numbers alone");
		return;
	}
	c->env.refresh(c->env.self);
	counters_tell(c->env.identity, counts, &m);
	answer(c, &m);
}

static void request_run(struct work *w)
{
	struct control *c = (struct control *)((char *)w - offsetof(struct control, work));
	struct request *q = &c->request;
	if (q->type == MSG_SET_NAME) {
		q->outcome = naming_set(c->env.layout, q->name, &q->descriptor, &q->why);
		q->changed = q->outcome == FAIL_NONE;
	} else {
		q->outcome = naming_remove(c->env.layout, q->name, &q->changed, &q->why);
	}
}

/* A hint for whoever listens. An empty digest: the name is gone. */
static void publish(struct control *c)
{
	const struct request *q = &c->request;
	char digest[DIGEST_TEXT_SIZE] = "";
	if (q->type == MSG_SET_NAME)
		digest_format(&q->descriptor.digest, digest);
	struct message m = {.type = MSG_NAMED, .name = span_str(q->name), .digest = span_str(digest)};
	(void)pipe_send(c->events, &m);
	if (*digest)
		log_info("named '%s' %s", q->name, digest);
	else
		log_info("removed the name '%s'", q->name);
}

static void request_done(struct work *w)
{
	struct control *c = (struct control *)((char *)w - offsetof(struct control, work));
	const struct request *q = &c->request;
	c->busy = false;
	if (q->outcome == FAIL_NONE) {
		answer(c, &(struct message){.type = MSG_OK});
	} else {
		log_warning("%s refused: %s", message_name(q->type), q->why.text);
		answer_error(c, q->outcome, q->why.text);
	}
	if (q->changed) {
		count_add(q->type == MSG_SET_NAME ? COUNT_NAMES_SET : COUNT_NAMES_REMOVED, 1);
		publish(c);
	}
	if (c->stopping)
		c->env.idle(c->env.self);
	else
		loop_io_watch(&c->readable, pipe_receive_fd(c->pipe), LOOP_READ);
}

static int parse_descriptor(const struct message *m, struct descriptor *d, struct reason *why)
{
	int r = digest_parse(m->digest, &d->digest, why);
	if (r < 0)
		return r;
	(void)snprintf(d->media_type, sizeof(d->media_type), "%.*s", SPAN_ARG(m->media_type));
	d->size = m->size;
	d->has_platform = m->platform.len > 0;
	return d->has_platform ? platform_parse(m->platform, &d->platform, why) : 0;
}

/* Whole and valid before anything is done about it. */
static int parse_request(const struct message *m, struct request *q, struct reason *why)
{
	*q = (struct request){.type = m->type};
	if (!name_is_valid(m->name)) {
		reason_set(why, "'%.*s' is no name for an image", SPAN_ARG(m->name));
		return -EINVAL;
	}
	(void)snprintf(q->name, sizeof(q->name), "%.*s", SPAN_ARG(m->name));
	return m->type == MSG_SET_NAME ? parse_descriptor(m, &q->descriptor, why) : 0;
}

static void take_request(struct control *c, const struct message *m)
{
	struct reason why;
	if (m->type == MSG_PING) {
		answer_pong(c);
	} else if (m->type == MSG_STATS) {
		answer_stats(c, m);
	} else if (m->type != MSG_SET_NAME && m->type != MSG_REMOVE_NAME) {
		reason_set(&why, "commitd does not answer %s", message_name(m->type));
		answer_error(c, FAIL_USAGE, why.text);
	} else if (parse_request(m, &c->request, &why) < 0) {
		answer_error(c, FAIL_USAGE, why.text);
	} else {
		c->busy = true;
		loop_io_stop(&c->readable);
		c->work = (struct work){.run = request_run, .done = request_done};
		workers_submit(c->env.committer, &c->work);
	}
}

static void on_readable(void *self, unsigned events)
{
	struct control *c = self;
	struct message m;
	enum decode_verdict v;
	uint64_t held_back = 0;
	(void)events;
	int r = pipe_receive(c->pipe, &m, &v);
	if (r == 0) {
		take_request(c, &m);
	} else if (r == -EBADMSG) {
		count_add(COUNT_REFUSED_COMMIT_CTL, 1);
		if (log_limit_pass(&c->bad_limit, &held_back))
			log_warning("refused a message on 'commit.ctl': %s (%llu more not shown)",
				    decode_verdict_text(v), (unsigned long long)held_back);
		answer_error(c, FAIL_USAGE, decode_verdict_text(v));
	}
}

int control_new(const struct control_env *env, struct control **ret_control)
{
	struct control *c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->env = *env;
	int r = pipe_open(env->runtime_dir, PIPE_COMMIT_EVENTS, PIPE_PUBLISH, &c->events);
	if (r == 0)
		r = pipe_open(env->runtime_dir, PIPE_COMMIT_CTL, PIPE_REPLY, &c->pipe);
	if (r < 0) {
		control_free(c);
		return r;
	}
	loop_io_init(&c->readable, env->loop, on_readable, c);
	loop_io_watch(&c->readable, pipe_receive_fd(c->pipe), LOOP_READ);
	*ret_control = c;
	return 0;
}

void control_stop(struct control *c)
{
	c->stopping = true;
	loop_io_stop(&c->readable);
	if (!c->busy)
		c->env.idle(c->env.self);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	loop_io_stop(&c->readable);
	pipe_close(c->pipe);
	pipe_close(c->events);
	free(c);
}
