/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories whose files are links into the store ('sluice extract --link symlink'). The record of such a directory is
 * a lease without end (common/store/lease.h) on the artifact's manifest; its purpose says "extract NAME to TARGET".
 */
#ifndef SLUICE_SLUICE_CMD_EXTRACTED_H
#define SLUICE_SLUICE_CMD_EXTRACTED_H

/* Base */
#include "common/base/program.h"

/* OCI */
#include "common/store/layout.h"

/*
 * The purpose of a record. 0; -EINVAL with a reason: the directory's path has characters that a record cannot have, or is
 * too long for one; or -ENOMEM. `name` has no blanks.
 */
int extracted_purpose(const char *name, const char *target, struct buf *out, struct reason *why);

/* Whether there is a record of that purpose. */
bool extracted_exists(struct layout *l, const char *purpose);

/* 'sluice ls --extracted' and 'sluice rm --extracted TARGET...'. Each returns an exit code. */
int extracted_list(const struct call *call);
int extracted_remove(const struct call *call);

#endif
