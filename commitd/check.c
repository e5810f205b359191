/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/check.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/counters.h"

/* Own */
#include "commitd/checked.h"
#include "commitd/quarantine.h"
#include "commitd/readback.h"

#define LOOKS_MAX 3 /* at a name whose file is exchanged while it is read */

enum step { STEP_LOOK, STEP_READ, STEP_JUDGE, STEP_FINISH, STEP_SAVE, STEP_DONE };

struct checks {
	struct checks_env env;
	struct ctl *ctl;
	struct workers *readers;
	struct checked *checked; /* the committer's; NULL until it is needed */
	uint64_t saved_ms;       /* the committer's */
	bool is_changed;         /* as of the last job: there is something to save */
	atomic_bool stop;
	bool is_halted;
	size_t jobs;
};

/* One request, or a save. */
struct check_job {
	struct work work;
	struct checks *checks;
	enum step step, next;
	uint64_t client; /* unless it is a save */
	struct digest digest;
	uint8_t flags;
	uint64_t age_s;
	unsigned looks;

	int fd; /* owned; what has the name, or -1 */
	struct stat st;
	int error; /* of the read */
	struct digest actual;

	enum fail_class outcome;
	struct reason why;
	uint64_t read_bytes;
	bool is_moved;        /* to quarantine/ */
	int save_error;       /* what was found good could not be written down */
	bool is_save_pending; /* after this job */
};

static void end(struct check_job *j, enum fail_class f, const char *text)
{
	j->outcome = f;
	reason_set(&j->why, "%s", text);
}

static struct reason path_of(const struct check_job *j)
{
	return layout_blob_path(j->checks->env.layout, &j->digest);
}

static void end_errno(struct check_job *j, const char *verb, int r)
{
	struct reason text;

	reason_set(&text, "cannot %s '%s': %s", verb, path_of(j).text, strerror(-r));
	end(j, r == -ENOMEM || r == -EMFILE || r == -ENFILE ? FAIL_AGAIN : FAIL_IO, text.text);
}

static void end_missing(struct check_job *j)
{
	struct reason text;

	reason_set(&text, "'%s' is missing", path_of(j).text);
	if (j->checks->checked)
		checked_drop(j->checks->checked, &j->digest);
	end(j, FAIL_NOT_FOUND, text.text);
}

/* It is damaged in this way. */
static void condemn(struct check_job *j, const char *how)
{
	struct checks *cs = j->checks;
	struct reason text;
	int r = quarantine_move(cs->env.layout, &j->digest);

	if (cs->checked)
		checked_drop(cs->checked, &j->digest);
	j->is_moved = r == 0;
	if (r == 0)
		reason_set(&text, "'%s' is damaged: %s; moved to '" LAYOUT_QUARANTINE "'", path_of(j).text, how);
	else
		reason_set(&text, "'%s' is damaged: %s; it cannot be moved to '" LAYOUT_QUARANTINE "': %s",
			   path_of(j).text, how, strerror(-r));
	end(j, FAIL_BAD_DATA, text.text);
}

/* ── the steps ── */

static int have_checked(struct checks *cs)
{
	return cs->checked ? 0 : checked_open(cs->env.layout, &cs->checked);
}

static bool is_skipped(const struct check_job *j)
{
	const struct checked *c = j->checks->checked;

	return (!(j->flags & CHECK_FLAG_ANEW) && checked_in_round(c, &j->digest)) ||
	       (j->age_s > 0 && checked_within(c, &j->digest, j->age_s));
}

static void look(struct check_job *j)
{
	int r = have_checked(j->checks);

	if (r < 0) {
		end_errno(j, "find out when it was checked:", r);
		return;
	}
	r = layout_blob_open(j->checks->env.layout, &j->digest, &j->fd, &j->st);
	if (r == -ENOENT)
		end_missing(j);
	else if (r == -EINVAL || r == -ELOOP)
		condemn(j, "it is not a regular file");
	else if (r < 0)
		end_errno(j, "open", r);
	else if (is_skipped(j))
		end(j, FAIL_NONE, "");
	else
		j->next = STEP_READ;
}

static void read_all(struct check_job *j)
{
	j->error = readback_digest(j->fd, (uint64_t)j->st.st_size, j->digest.alg, &j->checks->stop, &j->actual);
	j->read_bytes += j->error == 0 ? (uint64_t)j->st.st_size : 0;
	j->next = STEP_JUDGE;
}

/* Whether what was read still has the name. */
static bool is_named(const struct check_job *j)
{
	char hex[DIGEST_TEXT_SIZE];
	struct stat st;

	digest_format_hex(&j->digest, hex);
	return fstatat(layout_blobs_fd(j->checks->env.layout, j->digest.alg), hex, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       file_same(&st, &j->st);
}

/* Now and then, so that a check that is killed goes on where it was. */
static void save(struct check_job *j, bool now)
{
	struct checks *cs = j->checks;
	uint64_t now_ms = clock_mono_ms();

	if (cs->checked && (now || cs->saved_ms == 0 || now_ms - cs->saved_ms >= CHECK_SAVE_MS)) {
		j->save_error = checked_save(cs->checked);
		cs->saved_ms = now_ms;
	}
	j->is_save_pending = cs->checked && checked_is_changed(cs->checked) && j->save_error == 0;
}

static void judge(struct check_job *j)
{
	if (!is_named(j)) {
		j->fd = close_fd(j->fd);
		if (++j->looks < LOOKS_MAX)
			j->next = STEP_LOOK;
		else
			end(j, FAIL_AGAIN, "it was exchanged again and again while it was read");
	} else if (j->error == -ECANCELED) {
		end(j, FAIL_AGAIN, "commitd stops");
	} else if (j->error == -ENODATA) {
		condemn(j, "it became shorter");
	} else if (j->error < 0) {
		end_errno(j, "read", j->error);
	} else if (!digest_eq(&j->actual, &j->digest)) {
		condemn(j, "its bytes do not hash to its name");
	} else if (have_checked(j->checks) < 0 ||
		   checked_add(j->checks->checked, &j->digest, !(j->flags & CHECK_FLAG_ANEW)) < 0) {
		end(j, FAIL_AGAIN, "out of memory");
	} else {
		end(j, FAIL_NONE, "");
	}
}

static void finish(struct check_job *j)
{
	struct checks *cs = j->checks;
	struct reason text;
	int r = have_checked(cs);

	if (r == 0)
		r = checked_finish(cs->checked);
	if (r < 0) {
		reason_set(&text, "cannot write down in '%s/" LAYOUT_LEASES "' what was checked: %s",
			   layout_path(cs->env.layout), strerror(-r));
		end(j, file_is_full(r) ? FAIL_SPACE : FAIL_IO, text.text);
		return;
	}
	/* Until the next check it is only on disk. */
	checked_close(cs->checked);
	cs->checked = NULL;
	end(j, FAIL_NONE, "");
}

static void work_done(struct work *w);

static void work_run(struct work *w)
{
	struct check_job *j = (struct check_job *)((char *)w - offsetof(struct check_job, work));

	j->next = STEP_DONE;
	switch (j->step) {
	case STEP_LOOK:
		look(j);
		break;
	case STEP_READ:
		read_all(j);
		break;
	case STEP_JUDGE:
		judge(j);
		break;
	case STEP_FINISH:
		finish(j);
		break;
	case STEP_SAVE:
	case STEP_DONE:
		break;
	}
	if (j->next == STEP_DONE && j->step != STEP_FINISH)
		save(j, j->step == STEP_SAVE);
}

static void enter(struct check_job *j, enum step step)
{
	struct checks *cs = j->checks;

	j->step = step;
	j->work = (struct work){.run = work_run, .done = work_done};
	workers_submit(step == STEP_READ ? cs->readers : cs->env.committer, &j->work);
}

/* False: out of memory. */
static bool submit(struct checks *cs, const struct check_job *like, enum step step)
{
	struct check_job *j = malloc(sizeof(*j));

	if (!j)
		return false;
	*j = *like;
	j->checks = cs;
	j->fd = -1;
	cs->jobs++;
	enter(j, step);
	return true;
}

/* Save what is left, then be idle. */
static void wind_up(struct checks *cs)
{
	const struct check_job last = {.outcome = FAIL_NONE};

	if (cs->jobs > 0 || cs->is_halted || !atomic_load(&cs->stop))
		return;
	if (!cs->is_changed || !submit(cs, &last, STEP_SAVE))
		cs->env.idle(cs->env.self);
}

static void answer(const struct check_job *j)
{
	struct ctl *ctl = j->checks->ctl;

	if (j->outcome == FAIL_NONE)
		ctl_answer(ctl, j->client, &(struct message){.type = MSG_OK});
	else
		ctl_answer_error(ctl, j->client, j->outcome, j->why.text);
}

static void count(const struct check_job *j)
{
	count_add(COUNT_CHECKED_BYTES, j->read_bytes);
	count_add(COUNT_QUARANTINED, j->is_moved);
	if (j->outcome == FAIL_BAD_DATA || j->outcome == FAIL_IO)
		log_warning("check: %s", j->why.text);
	if (j->save_error < 0)
		log_warning("cannot write down in '%s/" LAYOUT_LEASES "/" CHECKING_FILE "' what was checked: %s",
			    layout_path(j->checks->env.layout), strerror(-j->save_error));
}

static void work_done(struct work *w)
{
	struct check_job *j = (struct check_job *)((char *)w - offsetof(struct check_job, work));
	struct checks *cs = j->checks;

	if (!cs->is_halted && j->next != STEP_DONE) {
		enter(j, j->next);
		return;
	}
	cs->jobs--;
	cs->is_changed = j->is_save_pending;
	if (!cs->is_halted) {
		count(j);
		if (j->step != STEP_SAVE)
			answer(j);
	}
	(void)close_fd(j->fd);
	free(j);
	wind_up(cs);
}

/* ── requests ── */

void checks_take(struct checks *cs, const struct ctl_asker *who, const struct message *m)
{
	struct check_job j = {.client = who->client, .flags = m->flags, .age_s = m->age_s};
	struct reason why;
	bool is_end = m->flags & CHECK_FLAG_FINISH;

	if (atomic_load(&cs->stop))
		ctl_answer_error(cs->ctl, who->client, FAIL_AGAIN, "commitd stops");
	else if (!is_end && digest_parse(m->digest, &j.digest, &why) < 0)
		ctl_answer_error(cs->ctl, who->client, FAIL_USAGE, why.text);
	else if (!submit(cs, &j, is_end ? STEP_FINISH : STEP_LOOK))
		ctl_answer_error(cs->ctl, who->client, FAIL_AGAIN, "out of memory");
}

void checks_gone(struct checks *cs)
{
	if (cs->is_changed && !atomic_load(&cs->stop))
		(void)submit(cs, &(struct check_job){.outcome = FAIL_NONE}, STEP_SAVE);
}

int checks_new(const struct checks_env *env, struct checks **ret_checks)
{
	struct checks *cs = calloc(1, sizeof(*cs));

	if (!cs)
		return -ENOMEM;
	cs->env = *env;
	atomic_init(&cs->stop, false);
	int r = workers_new_idle(env->loop, CHECK_READERS, &cs->readers);
	if (r < 0) {
		free(cs);
		return r;
	}
	*ret_checks = cs;
	return 0;
}

void checks_use_ctl(struct checks *cs, struct ctl *ctl)
{
	cs->ctl = ctl;
}

void checks_stop(struct checks *cs)
{
	atomic_store(&cs->stop, true);
	wind_up(cs);
}

bool checks_are_pending(const struct checks *cs)
{
	return cs->jobs > 0;
}

void checks_halt(struct checks *cs)
{
	if (!cs)
		return;
	atomic_store(&cs->stop, true);
	cs->is_halted = true;
}

void checks_free(struct checks *cs)
{
	if (!cs)
		return;
	workers_free(cs->readers);
	checked_close(cs->checked);
	free(cs);
}
