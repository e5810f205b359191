/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/control.h"

/* System */
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/hasher.h"

/* Wire */
#include "common/wire/counters.h"

/* ingestd */
#include "ingestd/collect.h"
#include "ingestd/queue.h"

struct control {
	struct control_env env;
	struct ctl *ctl;
	struct collect *collect;
	char boot[BOOT_TEXT_MAX + 1];
};

/* What an answer's views refer to, apart from the request and the transfer. */
struct answer {
	struct message m;
	struct transfer_texts texts;
	struct reason why;
	uint8_t counts[COUNTS_MAX];
};

static void answer_error(struct answer *a, enum fail_class class)
{
	a->m = (struct message){.type = MSG_ERROR, .fail_class = (uint8_t) class, .text = span_str(a->why.text)};
}

static void answer_transfer(struct answer *a, struct transfer *t)
{
	if (t) {
		transfer_tell(t, &a->texts, &a->m);
		return;
	}
	reason_set(&a->why, "no such transfer");
	answer_error(a, FAIL_NOT_FOUND);
}

/* Nobody would bring the bytes. The transfer waits for a fetchd that can; the client does not have to. */
static bool is_stuck(struct control *c, const struct transfer *t, struct answer *a)
{
	const char *stranger = chunks_stranger(c->env.chunks);

	if (!stranger || (t->state != TRANSFER_QUEUED && t->state != TRANSFER_FETCHING))
		return false;
	reason_set(&a->why, "ingestd cannot talk to fetchd: %s", stranger);
	return true;
}

static void answer_under_way(struct control *c, struct transfer *t, struct answer *a)
{
	if (is_stuck(c, t, a))
		answer_error(a, FAIL_UNAVAILABLE);
	else
		answer_transfer(a, t);
}

/* The record says it as well, for a client that requested it before fetchd was replaced. */
static void answer_status(struct control *c, struct transfer *t, struct answer *a)
{
	answer_transfer(a, t);
	if (!t || !is_stuck(c, t, a))
		return;
	a->m.fail_class = FAIL_UNAVAILABLE;
	a->m.text = span_str(a->why.text);
}

/* Joining an existing transfer does not add to their number. */
static bool has_too_many(struct control *c, uid_t uid, struct span ref)
{
	const struct transfers *ts = c->env.flow->transfers;

	return ts->len >= TRANSFERS_A_USER && !transfers_find(ts, ref) &&
	       transfers_of_user(ts, uid) >= TRANSFERS_A_USER;
}

static void answer_no_policy(int r, uid_t uid, struct answer *a)
{
	if (r == -EAGAIN)
		reason_set(&a->why, "user %u has transfers with %d different policies: wait for some to end",
			   (unsigned)uid, POLICIES_A_USER);
	else
		reason_set(&a->why, r == -EINVAL ? "the policy of the source is malformed" : "out of memory");
	answer_error(a, r == -EINVAL ? FAIL_USAGE : FAIL_AGAIN);
}

static void on_get(struct control *c, uid_t uid, const struct message *request, struct answer *a)
{
	struct policy *policy;
	struct transfer *t;
	uint64_t size;
	enum fail_class class;

	if (has_too_many(c, uid, request->ref)) {
		reason_set(&a->why, "user %u has %d unfinished transfers: wait for some to end, or abort some",
			   (unsigned)uid, TRANSFERS_A_USER);
		answer_error(a, FAIL_AGAIN);
		return;
	}
	int r = policies_take(&c->env.flow->policies, uid, request->policy, &policy);
	if (r < 0) {
		answer_no_policy(r, uid, a);
		return;
	}
	reason_set(&a->why, "out of memory");
	if (queue_get(c->env.flow, request, policy, &t, &size, &class, &a->why) < 0) {
		answer_error(a, class);
	} else if (t) {
		transfer_note_asker(t, uid);
		answer_under_way(c, t, a);
	} else {
		a->m = (struct message){
		    .type = MSG_RECORD,
		    .ref = request->ref,
		    .state = TRANSFER_COMMITTED,
		    .offset = size,
		    .size = size,
		    .digest = request->expected,
		};
	}
	policy_drop(policy);
}

/* The answer comes when fetchd has asked the registry. */
static bool on_login(struct control *c, const struct ctl_asker *who, const struct message *request, struct answer *a)
{
	struct flow *f = c->env.flow;
	struct policy *policy;
	const char *stranger = chunks_stranger(c->env.chunks);

	if (stranger) {
		reason_set(&a->why, "ingestd cannot talk to fetchd: %s", stranger);
		answer_error(a, FAIL_UNAVAILABLE);
		return false;
	}
	int r = policies_take(&f->policies, who->uid, request->policy, &policy);
	if (r < 0) {
		answer_no_policy(r, who->uid, a);
		return false;
	}
	r = policy_has_secret(policy) ? logins_ask(&f->logins, who->client, policy, request->name, ++f->attempt)
				      : -EINVAL;
	policy_drop(policy);
	if (r == 0)
		return true;
	reason_set(&a->why, r == -EAGAIN   ? "there are too many logins at once"
			    : r == -ENOMEM ? "out of memory"
					   : "not a registry, or no credentials");
	answer_error(a, r == -EINVAL ? FAIL_USAGE : FAIL_AGAIN);
	return false;
}

static void on_logged_in(void *self, uint64_t client, const struct message *m)
{
	struct control *c = self;

	ctl_answer(c->ctl, client, m);
}

/* The next unfinished transfer: committed ones are remembered only for requests by ref. */
static struct transfer *next_of(const struct transfers *ts, struct span ref)
{
	struct transfer *t = transfers_after(ts, ref);

	while (t && t->phase == PHASE_COMMITTED)
		t = transfers_after(ts, span_str(t->ref));
	return t;
}

/* -EWOULDBLOCK and -EBUSY are temporary: another holder of the lock, or a commit, will be done soon. */
static void answer_errno(struct answer *a, const char *verb, int r, const struct reason *why)
{
	reason_set(&a->why, "cannot %s it: %s", verb, why->text);
	answer_error(a, r == -EWOULDBLOCK || r == -EBUSY ? FAIL_AGAIN : FAIL_IO);
}

static void on_abort(struct control *c, const struct message *request, struct answer *a)
{
	struct reason why = {"out of memory"};
	int r = queue_abort(c->env.flow, request->ref, &why);

	if (r == 0 || r == -ENOENT)
		a->m = (struct message){.type = MSG_OK};
	else
		answer_errno(a, "abort", r, &why);
}

static void on_reset(struct control *c, const struct message *request, struct answer *a)
{
	struct reason why = {"out of memory"};
	int r = queue_reset(c->env.flow, request->ref, &why);

	if (r == 0 || r == -ENOENT)
		answer_transfer(a, r == 0 ? transfers_find(c->env.flow->transfers, request->ref) : NULL);
	else
		answer_errno(a, "reset", r, &why);
}

static void on_stats(struct control *c, const struct message *request, struct answer *a)
{
	if (request->stage == STAGE_INGESTD) {
		c->env.refresh(c->env.self);
		counters_tell(c->env.who, a->counts, &a->m);
	} else if (request->stage != STAGE_FETCHD) {
		reason_set(&a->why, "ingestd does not have commitd's counts");
		answer_error(a, FAIL_USAGE);
	} else if (!chunks_fetchd_counts(c->env.chunks, &a->m)) {
		const char *stranger = chunks_stranger(c->env.chunks);
		reason_set(&a->why, "%s%s",
			   stranger ? "ingestd cannot talk to fetchd: " : "fetchd is not connected to ingestd",
			   stranger ? stranger : "");
		answer_error(a, FAIL_UNAVAILABLE);
	}
}

/* The answer comes when it is done. */
static bool on_gc(struct control *c, const struct ctl_asker *who, const struct message *request, struct answer *a)
{
	const struct collect_order order = {
	    .dry_run = request->flags & GC_FLAG_DRY_RUN,
	    .has_age = request->flags & GC_FLAG_ENDS_IDLE,
	    .older_s = request->age_s,
	    .want = request->size,
	    .is_asked = true,
	    .client = who->client,
	};

	if (collect_start(c->collect, &order))
		return true;
	reason_set(&a->why, "another gc is running; run this again when it has ended");
	answer_error(a, FAIL_AGAIN);
	return false;
}

static void on_gc_item(struct control *c, const struct message *request, struct answer *a)
{
	const struct collect_item *item =
	    request->number <= SIZE_MAX ? collect_item(c->collect, (size_t)request->number) : NULL;

	if (!item) {
		reason_set(&a->why, "there are no more");
		answer_error(a, FAIL_NOT_FOUND);
		return;
	}
	a->m = (struct message){
	    .type = MSG_ITEM,
	    .fate = (uint8_t)item->fate,
	    .size = item->bytes,
	    .age_s = item->age_s,
	    .text = span_str(item->ref),
	};
	if (a->m.text.len > TEXT_MAX)
		a->m.text.len = TEXT_MAX;
}

static void on_collected(void *self, const struct collect_report *report)
{
	struct control *c = self;
	const struct message m = {
	    .type = MSG_COLLECTED,
	    .flags = report->order.dry_run ? GC_FLAG_DRY_RUN : 0,
	    .removed = report->count[GC_REMOVED],
	    .removed_bytes = report->bytes[GC_REMOVED],
	    .waiting = report->count[GC_WAITS],
	    .waiting_bytes = report->bytes[GC_WAITS],
	    .fail_class = (uint8_t)report->outcome,
	    .text = span_str(report->why.text),
	};

	if (report->order.is_asked)
		ctl_answer(c->ctl, report->order.client, &m);
	if (!report->order.dry_run && (report->order.is_asked || m.removed > 0))
		ctl_publish(c->ctl, span_str(""), &m);
}

static bool on_is_heard(void *self, struct span ref)
{
	const struct control *c = self;

	return ctl_is_heard(c->ctl, ref);
}

static void answer(struct control *c, uid_t uid, const struct message *request, struct answer *a)
{
	const struct transfers *ts = c->env.flow->transfers;

	switch (request->type) {
	case MSG_GET:
		on_get(c, uid, request, a);
		break;
	case MSG_STATUS:
		answer_status(c, transfers_find(ts, request->ref), a);
		break;
	case MSG_NEXT:
		answer_status(c, next_of(ts, request->ref), a);
		break;
	case MSG_ABORT:
		on_abort(c, request, a);
		break;
	case MSG_RESET:
		on_reset(c, request, a);
		break;
	case MSG_STATS:
		on_stats(c, request, a);
		break;
	case MSG_GC_ITEM:
		on_gc_item(c, request, a);
		break;
	default:
		reason_set(&a->why, "ingestd does not answer %s", message_name(request->type));
		answer_error(a, FAIL_USAGE);
	}
}

static void on_request(void *self, const struct ctl_asker *who, const struct message *request)
{
	struct control *c = self;
	struct answer a;

	bool is_later = request->type == MSG_LOGIN ? on_login(c, who, request, &a)
			: request->type == MSG_GC  ? on_gc(c, who, request, &a)
						   : false;

	if (is_later)
		return;
	if (request->type != MSG_LOGIN && request->type != MSG_GC)
		answer(c, who->uid, request, &a);
	ctl_answer(c->ctl, who->client, &a.m);
}

static void on_describe(void *self, struct message *pong)
{
	struct control *c = self;
	const struct ingest_home *home = c->env.flow->home;

	hex_encode(home->boot_id, BOOT_ID_SIZE, c->boot);
	pong->boot = span_str(c->boot);
	pong->text = span_str(layout_path(home->layout));
	if (pong->text.len > TEXT_MAX) /* dev and ino identify the store; the path is for people */
		pong->text.len = TEXT_MAX;
	layout_identity(home->layout, &pong->dev, &pong->ino);
}

int control_new(const struct control_env *env, struct control **ret_control, struct reason *why)
{
	static const struct ctl_hooks hooks = {.request = on_request, .describe = on_describe};
	static const struct collect_hooks collects = {.is_heard = on_is_heard, .done = on_collected};
	struct control *c = calloc(1, sizeof(*c));

	if (!c) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	c->env = *env;
	const struct ctl_env ctl_env = {
	    .loop = env->loop,
	    .runtime_dir = env->runtime_dir,
	    .identity = env->who,
	    .refused = COUNT_REFUSED_INGEST_CTL,
	    .hooks = &hooks,
	    .self = c,
	};
	int r = collect_new(env->loop, env->flow, &collects, c, &c->collect);
	if (r < 0)
		reason_set(why, "out of memory");
	else
		r = ctl_new(&ctl_env, &c->ctl, why);
	if (r < 0) {
		collect_free(c->collect);
		free(c);
		return r;
	}
	events_use(env->flow->events, c->ctl);
	env->flow->logins.answer = on_logged_in;
	env->flow->logins.self = c;
	*ret_control = c;
	return 0;
}

void control_stop(struct control *c)
{
	collect_stop(c->collect);
	ctl_stop(c->ctl);
}

void control_free(struct control *c)
{
	if (!c)
		return;
	events_use(c->env.flow->events, NULL);
	logins_release(&c->env.flow->logins);
	collect_free(c->collect);
	ctl_free(c->ctl);
	free(c);
}
