/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small documents that commitd itself writes into blobs/: the manifests of files. Only the daemon writes some, on the
 * committer's thread, so one temporary name is enough.
 *
 * It may die at any point, and be asked again: the bytes are on disk before they get their name, the name is given
 * without replacing anything, and its directory is synced before anything refers to it. What a dead run left under the
 * temporary name is removed by the next document, or when commitd starts.
 */
#ifndef SLUICE_COMMITD_DOCUMENT_H
#define SLUICE_COMMITD_DOCUMENT_H

#include "common/oci/transfer.h"
#include "common/store/layout.h"

/*
 * Store a document under its sha256. FAIL_NONE: its name is durable, made or found. FAIL_BAD_DATA: other bytes have that
 * name. Else a reason; asking again is safe. Blocks in fsync.
 */
enum fail_class document_store(struct layout *l, struct span text, struct reason *why);

/* When the daemon starts: remove what a dead run left. */
void document_recover(const struct layout *l);

#endif
