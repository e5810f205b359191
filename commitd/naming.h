/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in index.json, set and removed durably. Of our programs, only this one writes that file; another tool may. So
 * what was read is kept for the next edit, but compared with the file first, and again right before it is replaced: if
 * it changed, the edits are made in the new document. A change in the instant between that look and the rename is lost.
 */
#ifndef SLUICE_COMMITD_NAMING_H
#define SLUICE_COMMITD_NAMING_H

#include <sys/queue.h>

#include "common/oci/transfer.h"
#include "common/store/layout.h"
#include "common/store/names.h"

/* A name to set or to remove. The caller fills in the first part. */
struct naming_edit {
	STAILQ_ENTRY(naming_edit) next;
	bool is_removal;
	char name[NAME_MAX_BYTES + 1];
	struct descriptor descriptor; /* to be set; its size may be SIZE_UNKNOWN */
	bool is_file;                 /* the descriptor is of a manifest for this file (filing.h) */
	bool gives_way; /* a name that we chose: if it leads to other content, files.local/ALGORITHM-HEX */
	struct digest file;

	enum fail_class outcome;
	bool changed; /* the name was set, or it was there and is removed */
	struct reason why;
	bool is_refused;     /* its content is not complete; a caller may set it, with outcome and reason */
	struct buf left_out; /* digests of foreign layers that are not stored, separated by commas */
};

/* In the order in which they are made. */
STAILQ_HEAD(naming_batch, naming_edit);

struct naming;

/* 0 or -ENOMEM. Borrows the layout. Reads nothing yet. */
int naming_new(struct layout *l, struct naming **ret_naming);
void naming_free(struct naming *n);

/*
 * Make all edits in one write, each with an outcome of its own.
 *
 * A name is set if all of its content is stored, each blob with the size in its descriptor; the descriptor gets the
 * media type of the document, and the stored size for SIZE_UNKNOWN. If a name leads to a file already, described in any
 * way, it stays as it is, and the descriptor becomes that of the name. A name that does not exist is removed, too: see
 * `changed`. FAIL_NONE: the name is set or removed durably. Else there is a reason (FAIL_NOT_FOUND names what is
 * missing), and index.json is as it was, or (after a failed sync) has the edit, but not durably; asking again is safe.
 * Returns how often index.json was written. Blocks in fsync.
 */
unsigned naming_apply(struct naming *n, struct naming_batch *batch);

/* The name of a file that has no other: files.local/sha256-HEX. */
void naming_local(const struct digest *file, char ret_name[static NAME_MAX_BYTES + 1]);

void naming_edit_release(struct naming_edit *e);

#endif
