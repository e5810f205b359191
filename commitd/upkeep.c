/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/upkeep.h"

/* System */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

/* Base */
#include "common/base/log.h"
#include "common/base/text.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "commitd/check.h"
#include "commitd/gc.h"

enum step { STEP_TAKE, STEP_RELEASE, STEP_LEFT };

/* What the committer is to do with a lease. */
struct lease_job {
	struct work work;
	struct upkeep *upkeep;
	enum step step;
	struct lease_order order;
	enum fail_class outcome;
	struct reason why;
	size_t leases_len; /* afterwards */
	char ref[REF_MAX + 1];
	char members[]; /* terminated */
};

struct upkeep {
	struct upkeep_env env;
	struct ctl *ctl;
	struct workers *collector; /* one thread: what a gc does besides removing names */
	struct pins pins;
	struct leases *leases; /* the committer's */
	struct gc *gc;
	uint64_t gc_client; /* who asked for the run in progress */
	struct gc_order gc_order;
	struct checks *checks;
	size_t jobs;       /* in the committer's hands */
	size_t leases_len; /* as of the last of them */
	bool is_stopping;
};

static void answer(struct upkeep *u, uint64_t client, const struct message *m)
{
	ctl_answer(u->ctl, client, m);
}

static void end_if_idle(struct upkeep *u)
{
	if (u->is_stopping && u->jobs == 0 && !gc_is_running(u->gc) && !checks_are_pending(u->checks))
		u->env.idle(u->env.self);
}

/* ── leases ── */

static void job_run(struct work *w)
{
	struct lease_job *j = (struct lease_job *)((char *)w - offsetof(struct lease_job, work));
	struct leases *leases = j->upkeep->leases;

	switch (j->step) {
	case STEP_TAKE:
		j->outcome = leases_take(leases, &j->order, &j->why);
		break;
	case STEP_RELEASE:
		j->outcome = leases_release(leases, j->order.id, j->order.client, j->order.uid, &j->why);
		break;
	case STEP_LEFT:
		leases_left(leases, j->order.client);
		break;
	}
	j->leases_len = leases_len(leases);
}

static void job_done(struct work *w)
{
	struct lease_job *j = (struct lease_job *)((char *)w - offsetof(struct lease_job, work));
	struct upkeep *u = j->upkeep;

	u->jobs--;
	u->leases_len = j->leases_len;
	if (j->step == STEP_LEFT)
		;
	else if (j->outcome == FAIL_NONE)
		answer(u, j->order.client, &(struct message){.type = MSG_OK});
	else
		ctl_answer_error(u->ctl, j->order.client, j->outcome, j->why.text);
	free(j);
	end_if_idle(u);
}

static struct lease_job *job_new(struct upkeep *u, enum step step, const struct ctl_asker *who, size_t members_len)
{
	struct lease_job *j = calloc(1, sizeof(*j) + members_len + 1);

	if (!j)
		return NULL;
	j->upkeep = u;
	j->step = step;
	j->order.client = who->client;
	j->order.uid = who->uid;
	j->work = (struct work){.run = job_run, .done = job_done};
	return j;
}

static void submit(struct lease_job *j)
{
	j->upkeep->jobs++;
	workers_submit(j->upkeep->env.committer, &j->work);
}

static void take_lease(struct upkeep *u, const struct ctl_asker *who, const struct message *m)
{
	if (!lease_id_is_valid(m->name) || m->text.len > LEASE_PURPOSE_MAX) {
		ctl_answer_error(u->ctl, who->client, FAIL_USAGE, "not the ID or the purpose of a lease");
		return;
	}
	struct lease_job *j = job_new(u, m->type == MSG_LEASE ? STEP_TAKE : STEP_RELEASE, who, m->members.len);
	if (!j) {
		ctl_answer_error(u->ctl, who->client, FAIL_AGAIN, "out of memory");
		return;
	}
	(void)snprintf(j->order.id, sizeof(j->order.id), "%.*s", SPAN_ARG(m->name));
	(void)snprintf(j->order.purpose, sizeof(j->order.purpose), "%.*s", SPAN_ARG(m->text));
	(void)snprintf(j->ref, sizeof(j->ref), "%.*s", SPAN_ARG(m->ref));
	if (m->members.len > 0)
		memcpy(j->members, m->members.data, m->members.len);
	j->order.ttl_s = m->ttl_s;
	j->order.ref = span_str(j->ref);
	j->order.members = span_of(j->members, m->members.len);
	submit(j);
}

void upkeep_gone(struct upkeep *u, const struct ctl_asker *who)
{
	struct lease_job *j = u->leases_len > 0 && !u->is_stopping ? job_new(u, STEP_LEFT, who, 0) : NULL;

	if (j)
		submit(j);
	checks_gone(u->checks);
}

/* ── gc ── */

static void report_message(const struct gc_report *report, const struct gc_order *order, struct message *ret_message)
{
	*ret_message = (struct message){
	    .type = MSG_COLLECTED,
	    .flags = order->dry_run ? GC_FLAG_DRY_RUN : 0,
	    .removed = report->count[GC_REMOVED],
	    .removed_bytes = report->bytes[GC_REMOVED],
	    .waiting = report->count[GC_WAITS],
	    .waiting_bytes = report->bytes[GC_WAITS],
	    .leased_bytes = report->bytes[GC_LEASED],
	    .fail_class = (uint8_t)report->outcome,
	    .text = span_str(report->why.text),
	};
}

static void log_report(const struct gc_report *report)
{
	char removed[TEXT_PROSE_ROOM], waiting[TEXT_PROSE_ROOM];

	text_size_prose(report->bytes[GC_REMOVED], removed);
	text_size_prose(report->bytes[GC_WAITS], waiting);
	if (report->outcome != FAIL_NONE)
		log_warning("gc: removed %llu blobs (%s), then ended: %s",
			    (unsigned long long)report->count[GC_REMOVED], removed, report->why.text);
	else
		log_info("gc: removed %llu blobs (%s); %llu more are unneeded (%s)",
			 (unsigned long long)report->count[GC_REMOVED], removed,
			 (unsigned long long)report->count[GC_WAITS], waiting);
}

static void on_gc_done(void *self, const struct gc_report *report)
{
	struct upkeep *u = self;
	struct message m;

	report_message(report, &u->gc_order, &m);
	answer(u, u->gc_client, &m);
	if (!u->gc_order.dry_run) {
		count_add(COUNT_GC_RUNS, 1);
		count_add(COUNT_GC_REMOVED, report->count[GC_REMOVED]);
		count_add(COUNT_GC_REMOVED_BYTES, report->bytes[GC_REMOVED]);
		log_report(report);
		ctl_publish(u->ctl, span_str(""), &m);
	}
	end_if_idle(u);
}

static void take_gc(struct upkeep *u, const struct ctl_asker *who, const struct message *m)
{
	const struct gc_order order = {
	    .dry_run = m->flags & GC_FLAG_DRY_RUN,
	    .ends_idle = m->flags & GC_FLAG_ENDS_IDLE,
	    .older_s = m->age_s,
	    .want = m->size,
	};

	if (u->is_stopping || !gc_start(u->gc, &order)) {
		ctl_answer_error(u->ctl, who->client, FAIL_AGAIN,
				 "another gc is running; run this again when it has ended");
		return;
	}
	u->gc_order = order;
	u->gc_client = who->client;
}

static void answer_item(struct upkeep *u, uint64_t client, uint64_t number)
{
	const struct gc_item *item = number <= SIZE_MAX ? gc_item(u->gc, (size_t)number) : NULL;
	char digest[DIGEST_TEXT_SIZE] = "";

	if (!item) {
		ctl_answer_error(u->ctl, client, FAIL_NOT_FOUND, "there are no more");
		return;
	}
	if (item->fate != GC_LEASED)
		digest_format(&item->digest, digest);
	answer(u, client,
	       &(struct message){
		   .type = MSG_ITEM,
		   .fate = (uint8_t)item->fate,
		   .digest = span_str(digest),
		   .size = item->bytes,
		   .age_s = item->age_s,
		   .text = span_str(item->text),
	       });
}

bool upkeep_take(struct upkeep *u, const struct ctl_asker *who, const struct message *m)
{
	switch (m->type) {
	case MSG_LEASE:
	case MSG_RELEASE:
		take_lease(u, who, m);
		return true;
	case MSG_GC:
		take_gc(u, who, m);
		return true;
	case MSG_GC_ITEM:
		answer_item(u, who->client, m->number);
		return true;
	case MSG_CHECK:
		checks_take(u->checks, who, m);
		return true;
	default:
		return false;
	}
}

/* ── life ── */

static void on_checks_idle(void *self)
{
	end_if_idle(self);
}

static int open_checks(struct upkeep *u, struct reason *why)
{
	const struct checks_env env = {
	    .loop = u->env.loop,
	    .layout = u->env.layout,
	    .committer = u->env.committer,
	    .idle = on_checks_idle,
	    .self = u,
	};
	int r = checks_new(&env, &u->checks);

	if (r < 0)
		reason_set(why, "cannot start a thread: %s", strerror(-r));
	return r;
}

int upkeep_new(const struct upkeep_env *env, struct upkeep **ret_upkeep, struct reason *why)
{
	struct upkeep *u = calloc(1, sizeof(*u));

	if (!u) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	u->env = *env;
	u->pins = (struct pins)PINS_INIT;
	int r = leases_open(env->layout, &u->pins, &u->leases, why);
	if (r == 0 && (r = workers_new(env->loop, 1, &u->collector)) < 0)
		reason_set(why, "cannot start a thread: %s", strerror(-r));
	const struct gc_env gc_env = {
	    .layout = env->layout,
	    .committer = env->committer,
	    .collector = u->collector,
	    .pins = &u->pins,
	    .leases = u->leases,
	    .done = on_gc_done,
	    .self = u,
	};
	if (r == 0 && (r = gc_new(&gc_env, &u->gc)) < 0)
		reason_set(why, "out of memory");
	if (r == 0)
		r = open_checks(u, why);
	if (r < 0) {
		upkeep_free(u);
		return r;
	}
	u->leases_len = leases_len(u->leases);
	*ret_upkeep = u;
	return 0;
}

void upkeep_use_ctl(struct upkeep *u, struct ctl *ctl)
{
	u->ctl = ctl;
	checks_use_ctl(u->checks, ctl);
}

struct pins *upkeep_pins(struct upkeep *u)
{
	return &u->pins;
}

struct leases *upkeep_leases(struct upkeep *u)
{
	return u->leases;
}

void upkeep_count(const struct upkeep *u)
{
	count_set(COUNT_LEASES, u->leases_len);
}

void upkeep_stop(struct upkeep *u)
{
	u->is_stopping = true;
	gc_stop(u->gc);
	checks_stop(u->checks);
	end_if_idle(u);
}

void upkeep_halt(struct upkeep *u)
{
	if (!u)
		return;
	gc_halt(u->gc);
	checks_halt(u->checks);
}

void upkeep_free(struct upkeep *u)
{
	if (!u)
		return;
	checks_free(u->checks);
	workers_free(u->collector);
	gc_free(u->gc);
	leases_close(u->leases);
	pins_end(&u->pins);
	free(u);
}
