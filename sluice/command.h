/*
 * What every command of sluice gets and gives: the global options, and an exit code of sysexits(3) after the one line
 * that says why.
 */
#ifndef SLUICE_SLUICE_COMMAND_H
#define SLUICE_SLUICE_COMMAND_H

/* System */
#include <stdbool.h>

/* Base */
#include "common/base/opt.h"

/* Sluice */
#include "sluice/places.h"

#define OPERANDS_ANY (-1)

/* Ctrl-C or SIGTERM: main() turns this into death by that signal, which a shell reports as 130 or 143. */
#define EXIT_INTERRUPTED 130

struct context {
	const char *store; /* as given, or NULL; so are the next two */
	const char *runtime_dir;
	const char *config;
	bool json;
	bool quiet;
	bool verbose;
	struct places places; /* found before a command runs */
};

struct command {
	const char *name;
	const char *usage;   /* the operands and options: "[REF...]" */
	const char *summary; /* a line for the list of commands */
	const char *help;    /* what more there is to say, or NULL */
	int operands_min;
	int operands_max;          /* or OPERANDS_ANY */
	const struct opt *options; /* besides the global ones, or NULL; their variables belong to the command's file */
	int (*run)(struct context *ctx, int argc, char **argv); /* argv: the operands alone */
};

/* Each beside the function that it describes. */
extern const struct command command_pull, command_fetch;
extern const struct command command_status, command_abort, command_reset;
extern const struct command command_events, command_stats, command_metrics, command_doctor;
extern const struct command command_ls, command_images, command_cat, command_tag, command_rm;
extern const struct command command_up;

#endif
