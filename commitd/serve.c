/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/serve.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/base/mount.h"
#include "common/base/workers.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/stage_run.h"

/* Own */
#include "commitd/control.h"
#include "commitd/custody.h"
#include "commitd/document.h"
#include "commitd/seals.h"
#include "common/store/storelock.h"

struct server {
	const struct settings *settings;
	struct loop *loop;
	struct layout *layout;
	int lock_fd;
	struct workers *committer; /* one thread: the only one that touches blobs/ and index.json, in order */
	struct stage_self identity;
	struct seals *seals;
	struct control *control;
	struct upkeep *upkeep;
	bool seals_idle, control_idle, upkeep_idle;
};

static void end_if_idle(struct server *s)
{
	if (s->seals_idle && s->control_idle && s->upkeep_idle)
		daemon_end(s->loop);
}

static void on_seals_idle(void *self)
{
	struct server *s = self;
	s->seals_idle = true;
	end_if_idle(s);
}

static void on_control_idle(void *self)
{
	struct server *s = self;
	s->control_idle = true;
	end_if_idle(s);
}

static void on_upkeep_idle(void *self)
{
	struct server *s = self;
	s->upkeep_idle = true;
	end_if_idle(s);
}

/* Not an error: such a store is better than none, but its user should know. */
static void warn_of_unsynced(const struct layout *l)
{
	char type[MOUNT_TYPE_SIZE];
	if (durable_knows_dirs(layout_root_fd(l)))
		return;
	mount_type(layout_root_fd(l), type);
	log_warning(
	    "the file system of '%s' (%s) does not sync directories: after a power cut names of the store may be "
	    "missing, and are fetched again",
	    layout_path(l), type);
}

static int open_store(struct server *s)
{
	struct reason why;
	int r = layout_open(s->settings->store, LAYOUT_COMMITTER, &s->layout, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	r = storelock_take(s->layout, LAYOUT_COMMITTER, "commitd", &s->lock_fd, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	custody_recover(s->layout);
	document_recover(s->layout);
	warn_of_unsynced(s->layout);
	return EX_OK;
}

/* The store may be remounted read-only, or change its owner: check what a new name needs. */
static void refresh_counts(void *self)
{
	const struct server *s = self;
	int fd = layout_root_fd(s->layout);
	bool writes = faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0 &&
		      faccessat(fd, LAYOUT_BLOBS, W_OK | X_OK, AT_EACCESS) == 0;
	seals_count(s->seals);
	upkeep_count(s->upkeep);
	count_set(COUNT_COMMITD_WRITES, writes);
}

static int open_upkeep(struct server *s)
{
	const struct upkeep_env env = {
	    .loop = s->loop,
	    .layout = s->layout,
	    .committer = s->committer,
	    .idle = on_upkeep_idle,
	    .self = s,
	};
	struct reason why;
	int r = upkeep_new(&env, &s->upkeep, &why);
	if (r < 0)
		log_error("%s", why.text);
	return exit_code_of(r);
}

static int open_pipes(struct server *s)
{
	struct seals_env seals_env = {
	    .loop = s->loop,
	    .runtime_dir = s->settings->runtime_dir,
	    .layout = s->layout,
	    .committer = s->committer,
	    .upkeep = s->upkeep,
	    .identity = &s->identity,
	    .verify_always = s->settings->verify == VERIFY_ALWAYS,
	    .idle = on_seals_idle,
	    .self = s,
	};
	struct control_env control_env = {
	    .loop = s->loop,
	    .runtime_dir = s->settings->runtime_dir,
	    .layout = s->layout,
	    .committer = s->committer,
	    .upkeep = s->upkeep,
	    .identity = &s->identity,
	    .refresh = refresh_counts,
	    .idle = on_control_idle,
	    .self = s,
	};
	struct reason why;
	int r = seals_new(&seals_env, &s->seals);
	if (r < 0) {
		log_errno(r, "cannot open the pipes in '%s'", s->settings->runtime_dir);
		return exit_code_of(r);
	}
	r = control_new(&control_env, &s->control, &why);
	if (r < 0)
		log_error("%s", why.text);
	return exit_code_of(r);
}

static int on_start(void *self, struct loop *loop)
{
	struct server *s = self;
	s->loop = loop;
	int code = open_store(s);
	if (code != EX_OK)
		return code;
	stage_self_init(&s->identity, STAGE_COMMITD);
	int r = workers_new(loop, 1, &s->committer);
	if (r < 0) {
		(void)log_errno(r, "cannot start a thread");
		return exit_code_of(r);
	}
	code = open_upkeep(s);
	if (code != EX_OK)
		return code;
	code = open_pipes(s);
	if (code != EX_OK)
		return code;
	log_info("serving the store '%s'", layout_path(s->layout));
	return EX_OK;
}

static void on_stop(void *self)
{
	struct server *s = self;
	control_stop(s->control);
	seals_stop(s->seals);
	upkeep_stop(s->upkeep);
}

static void on_release(void *self)
{
	struct server *s = self;
	/* Also after a failed start or a second signal: pending work finishes first. */
	if (s->seals)
		seals_stop(s->seals);
	if (s->control)
		control_stop(s->control);
	upkeep_halt(s->upkeep);
	workers_free(s->committer);
	seals_free(s->seals);
	control_free(s->control);
	upkeep_free(s->upkeep);
	layout_free(s->layout);
	s->lock_fd = close_fd(s->lock_fd);
}

int serve_run(const struct settings *settings)
{
	static const struct daemon_hooks hooks = {.start = on_start, .stop = on_stop, .release = on_release};
	struct server s = {.settings = settings, .lock_fd = -1};
	return stage_run(STAGE_COMMITD, settings->runtime_dir, &hooks, &s);
}
