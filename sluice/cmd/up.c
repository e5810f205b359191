/* SPDX-License-Identifier: Apache-2.0 */
/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/exit.h"
#include "common/base/fs.h"
#include "common/base/lock.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/run/stages.h"
#include "sluice/run/supervise.h"

static const struct opt options[] = {
    {.name = "no-resume",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, up_no_resume),
     .def = "no",
     .help = "do not resume unfinished transfers at start"},
    {.name = "background",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, up_background),
     .def = "no",
     .help = "log to RUNTIME/log, end with the last user"},
    {.name = "remove",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, up_remove),
     .def = "no",
     .help = "remove the runtime directory at the end"},
    {.name = NULL},
};

static int take_up_lock(const struct settings *s, int dir_fd, int *ret_fd)
{
	const struct places *places = &s->context.places;
	struct reason holder = {""};
	int r = lock_take_at(dir_fd, STAGES_UP_LOCK, LOCK_SERVE, "sluice up", ret_fd, &holder);

	if (r == 0)
		return 0;
	if (r == -EWOULDBLOCK) {
		if (!s->up_background)
			log_error("cannot serve '%s': '%s/%s' is held by %s", places->store, places->runtime,
				  STAGES_UP_LOCK, holder.text);
		return EX_TEMPFAIL;
	}
	if (r == -EOPNOTSUPP) {
		(void)stage_no_locks(places->runtime, &holder);
		log_error("%s", holder.text);
	} else {
		log_errno(r, "cannot lock '%s/%s'", places->runtime, STAGES_UP_LOCK);
	}
	return exit_code_of(r);
}

/* From now on, our log and the stages' logs go to the file. */
static int open_log(const struct context *ctx, int dir_fd)
{
	AUTO_FD fd =
	    fs_openat(dir_fd, STAGES_LOG, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);

	if (fd < 0 || dup2(fd, STDOUT_FILENO) < 0 || dup2(fd, STDERR_FILENO) < 0) {
		int r = -errno;
		log_errno(r, "cannot write '%s/%s'", ctx->places.runtime, STAGES_LOG);
		return exit_code_of(r);
	}
	log_init("sluice");
	return 0;
}

/* Report what would stop every stage once, before any of them starts. */
static int check_store(const char *store)
{
	if (faccessat(AT_FDCWD, store, R_OK | W_OK | X_OK, AT_EACCESS) == 0 || errno == ENOENT)
		return 0;
	int r = -errno;
	log_errno(r, "cannot write to the store '%s'", store);
	return r == -EROFS || r == -EACCES ? EX_CANTCREAT : exit_code_of(r);
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	const struct context *ctx = &s->context;
	AUTO_FD dir_fd = -1;
	AUTO_FD lock_fd = -1;
	struct reason why;
	bool made;

	int code = places_make_runtime(&ctx->places, &dir_fd, &made, &why);
	if (code != 0) {
		log_error("%s", why.text);
		return code;
	}
	if (stages_are_services(dir_fd)) {
		log_error("the stages of '%s' are services: run 'systemctl start sluice.target', or use another store",
			  ctx->places.runtime);
		return EX_CONFIG;
	}
	bool has_log = s->up_background && !ctx->verbose;
	code = take_up_lock(s, dir_fd, &lock_fd);
	if (code == 0 && has_log)
		code = open_log(ctx, dir_fd);
	if (code == 0)
		code = check_store(ctx->places.store);
	if (code != 0)
		return code;
	const struct supervise_options how = {
	    .no_resume = s->up_no_resume || s->up_background,
	    .until_idle = s->up_background,
	    .remove = s->up_remove || made || ctx->places.private,
	    .has_log = has_log,
	};
	return supervise_run(ctx, &how, dir_fd);
}

const struct verb command_up = {
    .name = "up",
    .usage = "[--no-resume]",
    .summary = "run the three stages in the foreground, restart any that dies",
    .options = options,
    .run = run,
};
