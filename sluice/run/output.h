/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stored file at a path that the user named, in place of the file or the link that is there (outfile.h), as curl -o does.
 */
#ifndef SLUICE_SLUICE_RUN_OUTPUT_H
#define SLUICE_SLUICE_RUN_OUTPUT_H

/* Sluice */
#include "sluice/run/outfile.h"

/*
 * Whether a file can be put there: its directory exists and can be written to, and it is not a directory itself. 0, or an
 * exit code with a reason. To be asked before anything is fetched for it.
 */
int output_check(const char *path, struct reason *why);

/*
 * Put the blob there, durably: as a reflink if the file system can, else as a copy, however long. As outfile_put().
 */
int output_put(struct layout *l, const struct digest *d, uint64_t size, const char *path, enum outfile_link *ret_how,
	       struct reason *why);

#endif
