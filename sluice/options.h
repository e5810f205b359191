/*
 * The global options, which may stand before the command and behind it, together with the command's own.
 */
#ifndef SLUICE_SLUICE_OPTIONS_H
#define SLUICE_SLUICE_OPTIONS_H

/* Sluice */
#include "sluice/cmd/command.h"

/* Rows of the global options, for --help. */
extern const struct opt options_global[];

/* Set by options_read(). */
extern bool options_help;
extern bool options_version;

/*
 * Where in `argv` the first operand stands, as far as options of `table` are before it: the command. `argc` when there
 * is none. An option that is not in the table counts as one without a value; options_read() refuses it.
 */
int options_find_operand(const struct opt *table, int argc, char **argv);

/*
 * Defaults, environment and command line of the global options and of `own` (may be NULL) into `ret_context` and the
 * variables of `own`. Leaves the operands in `argv`, the command first. -EINVAL with a reason.
 */
int options_read(const struct opt *own, int *argc, char **argv, struct context *ret_context, struct reason *why);

#endif
