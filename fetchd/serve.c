/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/serve.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <sysexits.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/log.h"

/* Wire */
#include "common/wire/stage_run.h"

/* Own */
#include "fetchd/auth/keeper_serve.h"
#include "fetchd/confine.h"
#include "fetchd/orders.h"

struct server {
	const struct call *call;
	struct settings *settings;
	struct loop *loop;
	struct fetcher fetcher;
	struct keeper *keeper;
	struct orders *orders;
	bool keeper_is_gone;
};

/* If this setting is forgotten, anybody on the path gets the passwords. */
void serve_warn_of_skipped(const struct settings *s)
{
	for (size_t i = 0; i < s->registries.len; i++)
		if (s->registries.all[i].tls.skip_verify)
			log_warning("the certificate of '%s' is NOT VERIFIED (skip_verify): anyone on the path can "
				    "read and change what is exchanged with it",
				    s->registries.all[i].host);
}

/*
 * It cannot be started again from here. Whoever started us starts us again, and ingestd orders again what had not
 * arrived.
 */
static void on_keeper_gone(void *self)
{
	struct server *s = self;
	log_error(KEEPER_NAME ", which looks up credentials, was killed: exiting so that both are restarted");
	s->keeper_is_gone = true;
	daemon_end(s->loop);
}

static int on_start(void *self, struct loop *loop)
{
	struct server *s = self;
	s->loop = loop;
	confine_files(s->settings);
	s->fetcher.keeper = s->keeper;
	keeper_watch(s->keeper, loop, on_keeper_gone, s);
	int r = fetcher_open(&s->fetcher, loop, s->settings);
	if (r == 0)
		r = orders_new(&s->fetcher, s->settings->runtime_dir, &s->orders);
	if (r == 0)
		return 0;
	(void)log_errno(r, "cannot start in '%s'", s->settings->runtime_dir);
	return exit_code_of(r);
}

/*
 * Running transfers continue; their next request uses the new settings. Even if a mistake keeps the old ones, the files
 * that they name may have changed: authorities, certificates, credentials.
 */
static void on_reload(void *self)
{
	struct server *s = self;
	struct reason why = {"out of memory"};
	unsigned generation = s->settings->generation + 1;
	AUTO_FREE struct settings *fresh = calloc(1, sizeof(*fresh));
	int r = fresh ? program_reread(s->call, fresh, &why) : -ENOMEM;
	bool is_read = r == 0;
	if (is_read) {
		*s->settings = *fresh;
		keeper_reread(s->keeper);
		serve_warn_of_skipped(s->settings);
	}
	s->settings->generation = generation;
	int forgotten = fetcher_forget(&s->fetcher);
	if (forgotten < 0)
		(void)log_errno(forgotten, "cannot forget connections and certificate authorities: reload again");
	if (is_read)
		log_notice("configuration reloaded");
	else
		log_error(
		    "keeping the old configuration: %s%s", why.text,
		    r == -EACCES
			? " (if fetchd's user may read this file, restart fetchd: after its start it opens only files "
			  "in the directories of its configuration)"
			: "");
}

/* Nothing is kept here that would have to be saved. */
static void on_stop(void *self)
{
	const struct server *s = self;
	daemon_end(s->loop);
}

static void on_release(void *self)
{
	struct server *s = self;
	orders_free(s->orders);
	fetcher_close(&s->fetcher);
	keeper_free(s->keeper);
	s->keeper = NULL;
}

int serve_run(const struct call *call)
{
	static const struct daemon_hooks hooks = {
	    .start = on_start, .reload = on_reload, .stop = on_stop, .release = on_release};
	struct server s = {.call = call, .settings = call->settings};
	int code = confine_calls(call, &s.keeper);
	if (code != 0)
		return code;
	code = stage_run(STAGE_FETCHD, s.settings->runtime_dir, &hooks, &s);
	keeper_free(s.keeper); /* of a daemon that did not start */
	return code == EX_OK && s.keeper_is_gone ? EX_TEMPFAIL : code;
}
