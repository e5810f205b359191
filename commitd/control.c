/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/control.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* Base */
#include "common/base/log.h"
#include "common/base/shown.h"

/* Store */
#include "common/store/names.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "commitd/filing.h"

/* A name to set or to remove: pending from its arrival until it is answered. */
struct request {
	struct naming_edit edit; /* first, so that one is the other */
	struct buf manifest;     /* of a file */
	uint64_t client;
};

/*
 * Names that are requested while the committer is busy with others wait, and are then set together: one write for all.
 * So at most one job is with the committer; `taken` is the job's until it is done.
 */
struct control {
	struct control_env env;
	struct ctl *ctl;
	struct naming *naming; /* the committer's thread uses it */
	struct work work;
	bool is_working;
	struct naming_batch waiting, taken; /* requests: at most one of each client */
	unsigned writes;                    /* of index.json, in this job */
	bool stopping;
	struct reason path; /* of the store, for people; a very long one is cut */
};

static void answer_stats(struct control *c, uint64_t client, const struct message *m)
{
	uint8_t counts[COUNTS_MAX];
	struct message answer;

	if (m->stage != STAGE_COMMITD) {
		ctl_answer_error(c->ctl, client, FAIL_USAGE, "commitd has only its own counts");
		return;
	}
	c->env.refresh(c->env.self);
	counters_tell(c->env.identity, counts, &answer);
	ctl_answer(c->ctl, client, &answer);
}

static bool is_idle(const struct control *c)
{
	return !c->is_working && STAILQ_EMPTY(&c->waiting);
}

/* A hint for subscribers. An empty digest: the name was removed. */
static void publish(struct control *c, const struct naming_edit *e)
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (!e->is_removal)
		digest_format(&e->descriptor.digest, digest);
	const struct message m = {.type = MSG_NAMED, .name = span_str(e->name), .digest = span_str(digest)};
	ctl_publish(c->ctl, m.name, &m);
	if (*digest)
		log_info("named '%s' %s", e->name, digest);
	else
		log_info("removed the name '%s'", e->name);
}

static void request_free(struct request *q)
{
	if (!q)
		return;
	naming_edit_release(&q->edit);
	buf_release(&q->manifest);
	free(q);
}

/* A file's answer tells the name that it got, and the manifest. */
static void answer_done(struct control *c, const struct request *q)
{
	const struct naming_edit *e = &q->edit;
	char digest[DIGEST_TEXT_SIZE] = "";

	if (e->is_file)
		digest_format(&e->descriptor.digest, digest);
	const struct message named = {.type = MSG_NAMED, .name = span_str(e->name), .digest = span_str(digest)};
	const struct message ok = {.type = MSG_OK};
	ctl_answer(c->ctl, q->client, e->is_file ? &named : &ok);
}

static enum message_type type_of(const struct naming_edit *e)
{
	return e->is_removal ? MSG_REMOVE_NAME : e->is_file ? MSG_SET_FILE : MSG_SET_NAME;
}

static void request_end(struct control *c, struct request *q)
{
	const struct naming_edit *e = &q->edit;

	if (e->outcome == FAIL_NONE) {
		answer_done(c, q);
	} else {
		log_warning("%s refused: %s", message_name(type_of(e)), e->why.text);
		ctl_answer_error(c->ctl, q->client, e->outcome, e->why.text);
	}
	if (e->changed) {
		count_add(e->is_removal ? COUNT_NAMES_REMOVED : COUNT_NAMES_SET, 1);
		publish(c, e);
	}
	request_free(q);
}

static void job_run(struct work *w)
{
	struct control *c = (struct control *)((char *)w - offsetof(struct control, work));
	struct pins *pins = upkeep_pins(c->env.upkeep);
	struct naming_edit *e;

	STAILQ_FOREACH(e, &c->taken, next)
	{
		if (e->is_file)
			filing_store(c->env.layout, pins, e, buf_span(&((struct request *)e)->manifest));
		else if (!e->is_removal) /* before it is found to be stored */
			pins_add_root(pins, c->env.layout, &e->descriptor.digest);
	}
	c->writes = naming_apply(c->naming, &c->taken);
}

static void job_begin(struct control *c)
{
	if (c->is_working || STAILQ_EMPTY(&c->waiting))
		return;
	STAILQ_CONCAT(&c->taken, &c->waiting);
	c->is_working = true;
	workers_submit(c->env.committer, &c->work);
}

static void job_done(struct work *w)
{
	struct control *c = (struct control *)((char *)w - offsetof(struct control, work));
	struct naming_edit *e;

	c->is_working = false;
	count_add(COUNT_INDEX_WRITES, c->writes);
	while ((e = STAILQ_FIRST(&c->taken))) {
		STAILQ_REMOVE_HEAD(&c->taken, next);
		request_end(c, (struct request *)e);
	}
	job_begin(c);
	if (c->stopping && is_idle(c))
		c->env.idle(c->env.self);
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

/* Is it whole and valid? Only then act. */
static int parse_request(const struct message *m, struct naming_edit *e, struct reason *why)
{
	if (!name_is_valid(m->name)) {
		char shown[SHOWN_SIZE];
		shown_of(m->name, shown);
		reason_set(why, "'%s' is not a name for an image", shown);
		return -EINVAL;
	}
	(void)snprintf(e->name, sizeof(e->name), "%.*s", SPAN_ARG(m->name));
	e->is_removal = m->type == MSG_REMOVE_NAME;
	return e->is_removal ? 0 : parse_descriptor(m, &e->descriptor, why);
}

static void take_naming(struct control *c, uint64_t client, const struct message *m)
{
	struct reason why = {"out of memory"};
	struct request *q = calloc(1, sizeof(*q));
	int r = !q                        ? -ENOMEM
		: m->type == MSG_SET_FILE ? filing_parse(m, &q->edit, &q->manifest, &why)
					  : parse_request(m, &q->edit, &why);

	if (r < 0) {
		ctl_answer_error(c->ctl, client, r == -ENOMEM ? FAIL_AGAIN : FAIL_USAGE, why.text);
		request_free(q);
		return;
	}
	q->client = client;
	STAILQ_INSERT_TAIL(&c->waiting, &q->edit, next);
	job_begin(c);
}

static void on_request(void *self, const struct ctl_asker *who, const struct message *m)
{
	struct control *c = self;
	struct reason why;

	switch (m->type) {
	case MSG_STATS:
		answer_stats(c, who->client, m);
		break;
	case MSG_SET_NAME:
	case MSG_REMOVE_NAME:
	case MSG_SET_FILE:
		take_naming(c, who->client, m);
		break;
	default:
		if (upkeep_take(c->env.upkeep, who, m))
			break;
		reason_set(&why, "commitd does not answer %s", message_name(m->type));
		ctl_answer_error(c->ctl, who->client, FAIL_USAGE, why.text);
	}
}

static void on_gone(void *self, const struct ctl_asker *who)
{
	struct control *c = self;

	upkeep_gone(c->env.upkeep, who);
}

static void on_describe(void *self, struct message *pong)
{
	struct control *c = self;

	reason_set(&c->path, "%s", layout_path(c->env.layout));
	pong->text = span_str(c->path.text);
	layout_identity(c->env.layout, &pong->dev, &pong->ino);
}

int control_new(const struct control_env *env, struct control **ret_control, struct reason *why)
{
	static const struct ctl_hooks hooks = {.request = on_request, .gone = on_gone, .describe = on_describe};
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	c->env = *env;
	c->work = (struct work){.run = job_run, .done = job_done};
	STAILQ_INIT(&c->waiting);
	STAILQ_INIT(&c->taken);
	const struct ctl_env ctl_env = {
	    .loop = env->loop,
	    .runtime_dir = env->runtime_dir,
	    .identity = env->identity,
	    .refused = COUNT_REFUSED_COMMIT_CTL,
	    .hooks = &hooks,
	    .self = c,
	};
	int r = naming_new(env->layout, &c->naming);
	if (r < 0)
		reason_set(why, "out of memory");
	else
		r = ctl_new(&ctl_env, &c->ctl, why);
	if (r < 0) {
		naming_free(c->naming);
		free(c);
		return r;
	}
	upkeep_use_ctl(env->upkeep, c->ctl);
	*ret_control = c;
	return 0;
}

void control_stop(struct control *c)
{
	c->stopping = true;
	ctl_stop(c->ctl);
	if (is_idle(c))
		c->env.idle(c->env.self);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	ctl_free(c->ctl);
	naming_free(c->naming);
	free(c);
}
