/*
 * NAME
 *	sluice - pull container images and files, and never fetch or hash twice what has arrived
 *
 * SYNOPSIS
 *	sluice [OPTION...] COMMAND [OPTION...] [OPERAND...]
 *
 * DESCRIPTION
 *	The command of Sluice. It asks the daemons ingestd and commitd for what people want, shows how far it is, and
 *	shows and names what is stored. It never opens a network socket and writes nothing in the store. When no daemons
 *	serve the store, pull, fetch, abort, reset, tag and rm start them for as long as they run.
 *
 *	pull REFERENCE		get an image, and name it when all of it is there
 *	fetch URL --digest D	get any file by its URL and digest
 *	status [REF...]		the transfers
 *	abort, reset REF...	drop a transfer; drop its bytes and keep it
 *	events			what happens, as it happens
 *	doctor			whether everything is as it has to be, and what to do if not
 *	stats, metrics		what the stages have counted, for people and for Prometheus
 *	ls, images, cat DIGEST	what is stored
 *	tag, rm			the names of images
 *	up			run the three stages in the foreground
 *
 * OPTIONS
 *	--store DIR, --runtime-dir DIR, --config FILE, --json, -q, -v, --help, --version; before or after the command.
 *
 * FILES
 *	/var/lib/sluice, ~/.local/share/sluice	the store, of root and of others
 *	RUNTIME/ingest.ctl, commit.ctl, ...	the pipes to the daemons; where RUNTIME is, see places.h
 *	RUNTIME/users, up.lock, log		of stages that a command started; see stages.h
 *
 * DIAGNOSTICS
 *	One line on stderr, and an exit code of sysexits(3): 64 usage, 65 bad data, 66 not found, 69 unavailable, 73 and
 *	74 cannot create and I/O, 75 try again, 77 not allowed, 78 configuration. A command that is interrupted dies of
 *	the signal, after a line that says what is kept.
 */

/* System */
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/log.h"
#include "common/base/process.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/options.h"
#include "sluice/run/interrupt.h"

static const struct command *const commands[] = {
    &command_pull,   &command_fetch,  &command_status,  &command_abort,  &command_reset,
    &command_ls,     &command_images, &command_cat,     &command_tag,    &command_rm,
    &command_events, &command_stats,  &command_metrics, &command_doctor, &command_up,
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < COMMANDS; i++)
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	return NULL;
}

static void print_command_help(const struct command *c, FILE *out)
{
	(void)fprintf(out, "usage: sluice %s%s%s\n\n%s\n", c->name, *c->usage ? " " : "", c->usage, c->summary);
	if (c->help)
		(void)fprintf(out, "\n%s", c->help);
	if (c->options) {
		(void)fprintf(out, "\noptions:\n");
		opt_print_help(c->options, out);
	}
	(void)fprintf(out, "\nglobal options:\n");
	opt_print_help(options_global, out);
}

static void print_help(FILE *out)
{
	opt_print_usage(options_global, "usage: sluice", "COMMAND [OPERAND...]", out);
	(void)fputc('\n', out);
	for (size_t i = 0; i < COMMANDS; i++)
		(void)fprintf(out, "  %-8s %s\n", commands[i]->name, commands[i]->summary);
	(void)fprintf(out, "  %-8s %s\n", "help", "what a command and the options do: sluice help COMMAND");
}

static int run_help(int argc, char **argv)
{
	const struct command *c = argc > 0 ? find_command(argv[0]) : NULL;

	if (argc > 0 && !c) {
		log_error("there is no command '%s': see 'sluice --help'", argv[0]);
		return EX_USAGE;
	}
	if (c)
		print_command_help(c, stdout);
	else
		print_help(stdout);
	return 0;
}

static int bad_usage(const struct command *c)
{
	log_error("'%s' takes %s: see 'sluice help %s'", c->name, *c->usage ? c->usage : "no operands", c->name);
	return EX_USAGE;
}

static int run_command(const struct command *c, struct context *ctx, int argc, char **argv)
{
	struct reason why;

	if (argc < c->operands_min || (c->operands_max != OPERANDS_ANY && argc > c->operands_max))
		return bad_usage(c);
	if (ctx->verbose)
		log_set_level(LOG_LEVEL_INFO);
	int code = places_find(ctx->store, ctx->runtime_dir, &ctx->places, &why);
	if (code != 0) {
		log_error("%s", why.text);
		return code;
	}
	code = c->run(ctx, argc, argv);
	places_release(&ctx->places);
	return code;
}

/* The command is the first operand; its own options may stand anywhere behind it. */
static int dispatch(int argc, char **argv)
{
	struct context ctx;
	struct reason why;
	const struct command *c = NULL;
	int at = options_find_operand(options_global, argc, argv);
	bool is_help = at < argc && strcmp(argv[at], "help") == 0;

	if (at < argc && !is_help && !(c = find_command(argv[at]))) {
		log_error("there is no command '%s': see 'sluice --help'", argv[at]);
		return EX_USAGE;
	}
	if (options_read(c ? c->options : NULL, &argc, argv, &ctx, &why) < 0) {
		log_error("%s: see 'sluice %s%s--help'", why.text, c ? c->name : "", c ? " " : "");
		return EX_USAGE;
	}
	if (options_version) {
		(void)printf("sluice %s\n", SLUICE_VERSION);
		return 0;
	}
	if (options_help && c)
		return run_help(1, argv);
	if (is_help || options_help)
		return run_help(is_help ? argc - 1 : 0, argv + 1);
	if (!c) {
		print_help(stderr);
		return EX_USAGE;
	}
	return run_command(c, &ctx, argc - 1, argv + 1);
}

int main(int argc, char **argv)
{
	process_init("sluice");
	int code = dispatch(argc - 1, argv + 1);
	if (fflush(stdout) != 0 && code == 0) {
		log_error("cannot write to standard output");
		code = EX_IOERR;
	}
	if (code == EXIT_INTERRUPTED)
		interrupt_die();
	return code;
}
