/* SPDX-License-Identifier: Apache-2.0 */
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
 *	Before its first connection it restricts itself (confine.h): it executes no program, and opens the files of the
 *	system and of its configuration alone.
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
 *	--config FILE, or SLUICE_CONFIG, $XDG_CONFIG_HOME/sluice/sluice.conf (else ~/.config), /etc/sluice/sluice.conf
 *		Sections [fetchd], whose keys are the options with underscores, and [registry HOST] with what holds for
 *		that one alone; see fetchd(1) and registries.h.
 *	registries.d, beside that file, and in it what ends in .conf
 *		More sections [registry HOST].
 *	certs.d of containers and docker, see config/certs.h
 *		Certificates of single hosts.
 *	--auth-file FILE, $CREDENTIALS_DIRECTORY/sluice-auth.json, $REGISTRY_AUTH_FILE,
 *	$XDG_RUNTIME_DIR/containers/auth.json (else /run/containers/UID), $XDG_CONFIG_HOME/containers/auth.json (else
 *	~/.config), $DOCKER_CONFIG/config.json (else ~/.docker)
 *		Credentials, for the keeper (auth/keeper.h): it reads them when a registry asks for some, and runs
 *		docker-credential-NAME where one names it.
 *	RUNTIME/fetch/orders, RUNTIME/fetch/chunks
 *		The sockets, which ingestd binds.
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
#include <string.h>

/* Base */
#include "common/base/log.h"
#include "common/base/process.h"

/* Own */
#include "fetchd/config/settings.h"
#include "fetchd/serve.h"
#include "fetchd/tool.h"

/* Which files count. */
static void tell_configuration(const struct settings *s)
{
	if (s->config)
		log_info("the configuration is '%s'", s->config);
	else
		log_info("no configuration: defaults apply");
	for (size_t i = 0; i < s->registries.len; i++)
		if (s->registries.all[i].has_certs)
			log_info("certificates for '%s' are in certs.d", s->registries.all[i].host);
}

static int begin(const struct call *call)
{
	tell_configuration(call->settings);
	int r = process_hide();
	if (r < 0)
		log_warning("passwords may be in a core file of this process: %s", strerror(-r));
	serve_warn_of_skipped(call->settings);
	return 0;
}

static int run_get(const struct call *call)
{
	return tool_get(call, call->argv[0]);
}

static const struct verb verbs[] = {
    {.usage = "[OPTION...]", .summary = "serve: fetch what ingestd orders", .run = serve_run},
    {.name = "get",
     .usage = "[OPTION...] SOURCE",
     .summary = "fetch one thing to standard output",
     .help = "SOURCE is a URL, manifest://HOST/NAME:TAG, manifest://HOST/NAME@DIGEST or\n"
	     "blob://HOST/NAME@DIGEST. The options of 'fetchd --help' are understood, too.\n",
     .options = settings_get_options,
     .hides_globals = true,
     .operands_min = 1,
     .operands_max = 1,
     .run = run_get},
};

int main(int argc, char **argv)
{
	static const struct program fetchd = {.name = "fetchd",
					      .options = settings_options,
					      .read_file = settings_read_file,
					      .begin = begin,
					      VERBS(verbs)};
	static struct settings settings = {.policy = {.retries = POLICY_UNSAID}};
	return program_main(&fetchd, &settings, argc, argv);
}
