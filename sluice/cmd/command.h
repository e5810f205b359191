/*
 * The commands of sluice, a row each: how it is called, what help says of it, and what runs it. A command ends with an
 * exit code of sysexits(3), after one line that says why, or with EXIT_INTERRUPTED (run/interrupt.h).
 */
#ifndef SLUICE_SLUICE_CMD_COMMAND_H
#define SLUICE_SLUICE_CMD_COMMAND_H

/* Base */
#include "common/base/opt.h"

/* Sluice */
#include "sluice/context.h"

#define OPERANDS_ANY (-1)

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
