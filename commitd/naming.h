/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names in index.json, given and taken durably. Nobody else writes that file.
 */
#ifndef SLUICE_COMMITD_NAMING_H
#define SLUICE_COMMITD_NAMING_H

#include "common/oci/transfer.h"
#include "common/store/layout.h"

/*
 * Point `name` at a manifest or an index, once all of its content is stored, each blob with the size that its
 * descriptor gives. The media type of `d` becomes what the document is, a SIZE_UNKNOWN what is stored. FAIL_NONE: the
 * name is durable. Else a reason (FAIL_NOT_FOUND names what is missing), and index.json is unchanged, or (after a
 * failed sync) may have the new name, not durably; asking again is safe. Blocks in fsync.
 */
enum fail_class naming_set(struct layout *l, const char *name, struct descriptor *d, struct reason *why);

/* Remove a name. FAIL_NONE also if it does not exist; `ret_changed` tells. Blocks in fsync. */
enum fail_class naming_remove(struct layout *l, const char *name, bool *ret_changed, struct reason *why);

#endif
