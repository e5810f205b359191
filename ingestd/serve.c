/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/serve.h"

/* System */
#include <fcntl.h>
#include <sys/statvfs.h>
#include <sysexits.h>

/* Base */
#include "common/base/boot.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/base/workers.h"

/* Store */
#include "common/store/storelock.h"

/* Wire */
#include "common/wire/counters.h"
#include "common/wire/stage_run.h"

/* Incoming pipes */
#include "ingestd/chunks.h"
#include "ingestd/control.h"
#include "ingestd/receipts.h"

/* ingestd */
#include "ingestd/recover.h"
#include "ingestd/turn.h"

#define SYNC_THREADS 4 /* syncs at the same time; the disk merges them */

struct server {
	const struct settings *settings;
	struct loop *loop;
	struct stage_self self;
	struct ingest_home home;
	int lock_fd;
	struct transfers transfers;
	struct flow flow;
	struct turn *turn;
	struct chunks *chunks;
	struct receipts *receipts;
	struct control *control;
};

static int open_store(struct server *s)
{
	struct reason why;

	s->home.program = "ingestd";
	int r = layout_open(s->settings->store, LAYOUT_INGESTER, &s->home.layout, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	r = storelock_take(s->home.layout, LAYOUT_INGESTER, s->home.program, &s->lock_fd, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	r = boot_id_read(s->settings->boot_id, s->home.boot_id);
	if (r < 0) {
		log_errno(r, "cannot read the boot id; pass it with --boot-id");
		return EX_CONFIG;
	}
	return EX_OK;
}

static void count_space(const struct layout *layout)
{
	int fd = layout_ingest_fd(layout);
	struct statvfs st = {0};

	count_set(COUNT_INGESTD_WRITES, faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) == 0);
	if (fstatvfs(fd, &st) < 0)
		return;
	count_set(COUNT_SPACE_FREE, (uint64_t)st.f_bavail * st.f_frsize);
	count_set(COUNT_SPACE_SIZE, (uint64_t)st.f_blocks * st.f_frsize);
	count_set(COUNT_INODES_FREE, st.f_favail);
	count_set(COUNT_INODES_SIZE, st.f_files);
}

/* The gauges: computed on request, not tracked as they change. */
static void refresh_counts(void *self)
{
	const struct server *s = self;

	transfers_count(&s->transfers);
	count_space(s->home.layout);
	chunks_count(s->chunks);
	receipts_count(s->receipts);
}

static int open_pipes_out(struct server *s)
{
	int r = orders_new(&s->transfers, &s->flow.orders);
	s->flow.logins.orders = s->flow.orders;
	if (r == 0)
		r = seals_new(&s->transfers, &s->flow.seals);
	if (r == 0)
		r = events_new(&s->flow.events);
	return r;
}

static int open_pipes_in(struct server *s)
{
	const char *dir = s->settings->runtime_dir;
	int r = chunks_new(s->loop, dir, s->self.incarnation, &s->flow, &s->chunks);
	if (r == 0)
		r = receipts_new(s->loop, dir, s->self.incarnation, &s->flow, &s->receipts);
	return r;
}

static int open_control(struct server *s)
{
	const struct control_env env = {
	    .loop = s->loop,
	    .runtime_dir = s->settings->runtime_dir,
	    .who = &s->self,
	    .flow = &s->flow,
	    .chunks = s->chunks,
	    .refresh = refresh_counts,
	    .self = s,
	};
	struct reason why;
	int r = control_new(&env, &s->control, &why);

	if (r < 0)
		log_error("%s", why.text);
	return exit_code_of(r);
}

static int open_pipes(struct server *s)
{
	s->flow = (struct flow){.settings = s->settings, .home = &s->home, .transfers = &s->transfers};
	stage_self_init(&s->self, STAGE_INGESTD);
	int r = workers_new(s->loop, SYNC_THREADS, &s->flow.workers);
	if (r == 0)
		r = open_pipes_out(s);
	if (r == 0)
		r = open_pipes_in(s);
	if (r == 0)
		r = turn_new(s->loop, &s->flow, &s->turn);
	if (r == 0)
		return open_control(s);
	log_errno(r, "cannot open the pipes in '%s'", s->settings->runtime_dir);
	return exit_code_of(r);
}

static int on_start(void *self, struct loop *loop)
{
	struct server *s = self;

	s->loop = loop;
	int code = open_store(s);
	if (code == EX_OK)
		code = open_pipes(s);
	if (code != EX_OK)
		return code;
	recover_all(&s->flow);
	log_info("serving '%s'", layout_path(s->home.layout));
	return EX_OK;
}

static void on_stop(void *self)
{
	struct server *s = self;

	control_stop(s->control);
	chunks_stop(s->chunks);
	receipts_stop(s->receipts);
	turn_stop(s->turn);
}

/* Also after a failed start or a second signal: running jobs finish first. */
static void on_release(void *self)
{
	struct server *s = self;

	workers_free(s->flow.workers);
	transfers_release(&s->transfers);
	turn_free(s->turn);
	control_free(s->control);
	chunks_free(s->chunks);
	receipts_free(s->receipts);
	orders_free(s->flow.orders);
	seals_free(s->flow.seals);
	events_free(s->flow.events);
	layout_free(s->home.layout);
	s->lock_fd = close_fd(s->lock_fd);
}

static void on_describe(void *self, struct reason *ret_text)
{
	const struct transfers *ts = &((const struct server *)self)->transfers;

	reason_set(ret_text, "%zu of %zu transfers under way", ts->of_state[TRANSFER_FETCHING],
		   ts->len - ts->of_state[TRANSFER_COMMITTED]);
}

int serve_run(const struct settings *s)
{
	static const struct daemon_hooks hooks = {
	    .start = on_start, .stop = on_stop, .release = on_release, .describe = on_describe};
	struct server server = {.settings = s, .lock_fd = -1};

	return stage_run(STAGE_INGESTD, s->runtime_dir, &hooks, &server);
}
