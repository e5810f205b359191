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
#include "commitd/naming.h"

/* A name to set or to remove: pending from its arrival until it is answered. */
struct request {
	struct work work;
	struct control *control;
	uint64_t client;
	enum message_type type;
	char name[NAME_MAX_BYTES + 1];
	struct descriptor descriptor;
	enum fail_class outcome;
	bool changed;
	struct reason why;
};

struct control {
	struct control_env env;
	struct ctl *ctl;
	size_t in_hand; /* at most one of each client */
	bool stopping;
	struct reason path; /* of the store, for people; a very long one is cut */
};

static void answer_error(struct control *c, uint64_t client, enum fail_class fail_class, const char *text)
{
	const struct message m = {.type = MSG_ERROR, .fail_class = (uint8_t)fail_class, .text = span_str(text)};

	ctl_answer(c->ctl, client, &m);
}

static void answer_stats(struct control *c, uint64_t client, const struct message *m)
{
	uint8_t counts[COUNTS_MAX];
	struct message answer;

	if (m->stage != STAGE_COMMITD) {
		answer_error(c, client, FAIL_USAGE, "commitd has only its own counts");
		return;
	}
	c->env.refresh(c->env.self);
	counters_tell(c->env.identity, counts, &answer);
	ctl_answer(c->ctl, client, &answer);
}

static void request_run(struct work *w)
{
	struct request *q = (struct request *)((char *)w - offsetof(struct request, work));
	struct layout *layout = q->control->env.layout;

	/* Before it is found to be stored. */
	if (q->type == MSG_SET_NAME)
		pins_add_root(upkeep_pins(q->control->env.upkeep), layout, &q->descriptor.digest);
	if (q->type == MSG_SET_NAME) {
		q->outcome = naming_set(layout, q->name, &q->descriptor, &q->why);
		q->changed = q->outcome == FAIL_NONE;
	} else {
		q->outcome = naming_remove(layout, q->name, &q->changed, &q->why);
	}
}

/* A hint for subscribers. An empty digest: the name was removed. */
static void publish(const struct request *q)
{
	char digest[DIGEST_TEXT_SIZE] = "";

	if (q->type == MSG_SET_NAME)
		digest_format(&q->descriptor.digest, digest);
	const struct message m = {.type = MSG_NAMED, .name = span_str(q->name), .digest = span_str(digest)};
	ctl_publish(q->control->ctl, m.name, &m);
	if (*digest)
		log_info("named '%s' %s", q->name, digest);
	else
		log_info("removed the name '%s'", q->name);
}

static void request_done(struct work *w)
{
	struct request *q = (struct request *)((char *)w - offsetof(struct request, work));
	struct control *c = q->control;

	c->in_hand--;
	if (q->outcome == FAIL_NONE) {
		ctl_answer(c->ctl, q->client, &(struct message){.type = MSG_OK});
	} else {
		log_warning("%s refused: %s", message_name(q->type), q->why.text);
		answer_error(c, q->client, q->outcome, q->why.text);
	}
	if (q->changed) {
		count_add(q->type == MSG_SET_NAME ? COUNT_NAMES_SET : COUNT_NAMES_REMOVED, 1);
		publish(q);
	}
	free(q);
	if (c->stopping && c->in_hand == 0)
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
static int parse_request(const struct message *m, struct request *q, struct reason *why)
{
	if (!name_is_valid(m->name)) {
		char shown[SHOWN_SIZE];
		shown_of(m->name, shown);
		reason_set(why, "'%s' is not a name for an image", shown);
		return -EINVAL;
	}
	(void)snprintf(q->name, sizeof(q->name), "%.*s", SPAN_ARG(m->name));
	return m->type == MSG_SET_NAME ? parse_descriptor(m, &q->descriptor, why) : 0;
}

static void take_naming(struct control *c, uint64_t client, const struct message *m)
{
	struct reason why = {"out of memory"};
	struct request *q = calloc(1, sizeof(*q));

	if (!q || parse_request(m, q, &why) < 0) {
		answer_error(c, client, q ? FAIL_USAGE : FAIL_AGAIN, why.text);
		free(q);
		return;
	}
	q->control = c;
	q->client = client;
	q->type = m->type;
	q->work = (struct work){.run = request_run, .done = request_done};
	c->in_hand++;
	workers_submit(c->env.committer, &q->work);
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
		take_naming(c, who->client, m);
		break;
	default:
		if (upkeep_take(c->env.upkeep, who, m))
			break;
		reason_set(&why, "commitd does not answer %s", message_name(m->type));
		answer_error(c, who->client, FAIL_USAGE, why.text);
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
	const struct ctl_env ctl_env = {
	    .loop = env->loop,
	    .runtime_dir = env->runtime_dir,
	    .identity = env->identity,
	    .refused = COUNT_REFUSED_COMMIT_CTL,
	    .hooks = &hooks,
	    .self = c,
	};
	int r = ctl_new(&ctl_env, &c->ctl, why);
	if (r < 0) {
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
	if (c->in_hand == 0)
		c->env.idle(c->env.self);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	ctl_free(c->ctl);
	free(c);
}
