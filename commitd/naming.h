/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in index.json, set and removed durably. Nobody else writes that file.
 */
#ifndef SLUICE_COMMITD_NAMING_H
#define SLUICE_COMMITD_NAMING_H

#include "common/oci/transfer.h"
#include "common/store/layout.h"

/*
 * Point `name` at a manifest or an index, if all of its content is stored, each blob with the size in its descriptor.
 * Sets the media type of `d` to that of the document, and a SIZE_UNKNOWN to the stored size. FAIL_NONE: the name is
 * durable. Else a reason (FAIL_NOT_FOUND names what is missing), and index.json is unchanged, or (after a failed sync)
 * may have the new name, but not durably; asking again is safe. Blocks in fsync.
 */
enum fail_class naming_set(struct layout *l, const char *name, struct descriptor *d, struct reason *why);

/* Remove a name. FAIL_NONE even if it does not exist; see `ret_changed`. Blocks in fsync. */
enum fail_class naming_remove(struct layout *l, const char *name, bool *ret_changed, struct reason *why);

#endif
