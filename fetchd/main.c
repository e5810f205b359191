/*
 * NAME
 *	fetchd - the stage of Sluice that talks to the network
 *
 * SYNOPSIS
 *	fetchd [options]
 *	fetchd [options] get [--offset N] [--size N] [--digest D] [--raw] SOURCE
 *
 * DESCRIPTION
 *	fetchd is the only process with the network, and it writes nothing to any disk. ingestd orders transfers from
 *	it, each from the byte where what is there ends; fetchd sends the bytes from there on, in order. It asks for
 *	closed ranges and passes on nothing before status and Content-Range say that it is what was asked for. What
 *	goes wrong on the way is tried again from where it stopped, with back-off and jitter.
 *
 *	Without a verb it is a daemon, until SIGTERM; SIGHUP makes it read its configuration again. It may be killed
 *	and started at any time: ingestd orders again whatever did not arrive.
 *
 *	get	fetches one thing to standard output, as the frames that `ingestd put` reads, or as raw bytes. SOURCE is
 *		a URL, manifest://HOST/NAME:TAG, manifest://HOST/NAME@DIGEST or blob://HOST/NAME@DIGEST.
 *
 * OPTIONS
 *	fetchd --help names them all with their defaults; those of the daemon may stand in a file too.
 *
 * FILES
 *	--config FILE, or SLUICE_CONFIG
 *		Sections [fetchd], whose keys are the options with underscores, and [registry HOST] with what holds for
 *		that one alone; see fetchd(1) and registries.h.
 *	registries.d, beside that file, and in it what ends in .conf
 *		More sections [registry HOST].
 *	--auth-file FILE, $CREDENTIALS_DIRECTORY/sluice-auth.json, $REGISTRY_AUTH_FILE,
 *	$XDG_RUNTIME_DIR/containers/auth.json, ~/.config/containers/auth.json, ~/.docker/config.json
 *		Credentials, read when a registry asks for some; docker-credential-NAME is run where one names it.
 *	RUNTIME/pipes/orders, RUNTIME/pipes/chunks
 *		The pipes.
 *
 * DIAGNOSTICS
 *	Messages go to standard error. Exit codes are those of sysexits(3): 64 usage; 65 an answer that cannot be
 *	right; 66 not found; 69 no address, connection or TLS; 75 trying again is right; 77 not allowed; 78 the
 *	configuration or the runtime directory cannot serve.
 *
 * SEE ALSO
 *	ingestd(1), commitd(1), sluice(1)
 */

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/daemon.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/process.h"

/* Wire */
#include "common/wire/pipe.h"

/* Own */
#include "fetchd/auth/pass.h"
#include "fetchd/bucket.h"
#include "fetchd/config/settings.h"
#include "fetchd/host.h"
#include "fetchd/http/http.h"
#include "fetchd/orders.h"
#include "fetchd/sink.h"
#include "fetchd/tool.h"
#include "fetchd/window.h"

#define PROGRAM "fetchd"

struct program {
	int argc; /* without the program's name */
	char **argv;
	char **operands;
	int operands_len;
	struct settings settings;

	/* The daemon's. */
	struct pipe *in;
	struct pipe *out;
	struct fetcher env;
	struct window_room room;
	struct bucket bucket;
	struct orderbook *book;
	struct loop *loop;
};

/* Loudly: whoever forgets that it is set hands his passwords to anybody on the way. */
static void warn_of_skipped(const struct settings *s)
{
	for (size_t i = 0; i < s->registries.len; i++)
		if (s->registries.all[i].tls.skip_verify)
			log_warning("the certificate of '%s' is NOT VERIFIED (skip_verify): anybody on the way can "
				    "read and change what is exchanged with it",
				    s->registries.all[i].host);
}

static int settings_read(struct program *p, struct reason *why)
{
	enum log_level level = LOG_LEVEL_NOTICE;
	reason_set(why, "out of memory");
	int r = settings_load(p->argc, p->argv, &p->settings, p->operands, &p->operands_len, why);
	if (r == 0 && log_level_parse(p->settings.log_level, &level) == 0)
		log_set_level(level);
	if (r == 0)
		warn_of_skipped(&p->settings);
	return r;
}

static int make(struct program *p)
{
	const char *dir = p->settings.runtime_dir;
	int r = pipe_open(dir, PIPE_ORDERS, PIPE_PULL, &p->in);
	if (r == 0)
		r = pipe_open(dir, PIPE_CHUNKS, PIPE_PUSH, &p->out);
	if (r == 0)
		r = http_new(p->env.loop, &p->env.http);
	if (r == 0)
		r = hosts_new(&p->env.hosts);
	if (r == 0)
		r = passes_new(&p->env, &p->env.passes);
	if (r == 0)
		r = sink_new_pipe(p->env.loop, p->out, &p->env.sink);
	if (r == 0)
		r = orderbook_new(&p->env, p->in, p->out, &p->book);
	return r;
}

static int start(void *self, struct loop *loop)
{
	struct program *p = self;
	p->loop = loop;
	p->env.loop = loop;
	p->env.settings = &p->settings;
	p->env.room = &p->room;
	p->env.bucket = &p->bucket;
	int r = make(p);
	if (r == 0)
		return 0;
	(void)log_errno(r, "cannot start in '%s'", p->settings.runtime_dir);
	return exit_code_of(r);
}

/* Transfers that run go on; their next request is made under the new settings. */
static void reload(void *self)
{
	struct program *p = self;
	struct reason why;
	if (settings_read(p, &why) < 0) {
		log_error("the old settings stay: %s", why.text);
		return;
	}
	passes_forget(p->env.passes);
	log_notice("settings read again");
}

/* Nothing is kept here that would have to be saved. */
static void stop(void *self)
{
	const struct program *p = self;
	daemon_end(p->loop);
}

static void release(void *self)
{
	struct program *p = self;
	orderbook_free(p->book);
	sink_free(p->env.sink);
	passes_free(p->env.passes);
	hosts_free(p->env.hosts);
	http_free(p->env.http);
	pipe_close(p->out);
	pipe_close(p->in);
}

static const struct daemon_hooks hooks = {.start = start, .reload = reload, .stop = stop, .release = release};

static int help(bool of_get)
{
	if (of_get)
		(void)printf("usage: fetchd get [OPTION...] SOURCE\n\n"
			     "SOURCE is a URL, manifest://HOST/NAME:TAG, manifest://HOST/NAME@DIGEST or\n"
			     "blob://HOST/NAME@DIGEST. The options of 'fetchd --help' count, too.\n\n");
	else
		(void)printf("usage: fetchd [OPTION...]              serve: fetch what ingestd orders\n"
			     "       fetchd [OPTION...] get SOURCE   fetch one thing to standard output\n\n");
	settings_print_help(of_get, stdout);
	return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
}

static int usage(const char *why, const char *what)
{
	log_error("%s '%s'; see 'fetchd --help'", why, what);
	return EX_USAGE;
}

static int run(struct program *p)
{
	const struct settings *s = &p->settings;
	const char *verb = p->operands_len > 0 ? p->operands[0] : NULL;
	if (s->help)
		return help(verb && strcmp(verb, "get") == 0);
	if (s->version) {
		(void)printf("fetchd " SLUICE_VERSION "\n");
		return fflush(stdout) == 0 ? EX_OK : EX_IOERR;
	}
	if (verb && strcmp(verb, "get") != 0)
		return usage("there is no verb", verb);
	if (verb && p->operands_len != 2)
		return usage(p->operands_len < 2 ? "one source is needed after" : "one source is enough for", verb);
	if (verb)
		return get_run(s, p->operands[1]);
	if (s->offset > 0 || s->size || s->digest || s->raw)
		return usage("--offset, --size, --digest and --raw belong to the verb", "get");
	return daemon_run(PROGRAM, s->runtime_dir, &hooks, p);
}

int main(int argc, char **argv)
{
	struct program p = {.argc = argc - 1, .argv = argv + 1};
	struct reason why;
	int code;
	process_init(PROGRAM);
	p.operands = calloc((size_t)argc, sizeof(*p.operands));
	int r = p.operands ? settings_read(&p, &why) : -ENOMEM;
	if (r == 0) {
		code = run(&p);
	} else {
		log_error("%s", why.text);
		code = r == -EINVAL ? EX_USAGE : EX_CONFIG;
	}
	free(p.operands);
	return code;
}
