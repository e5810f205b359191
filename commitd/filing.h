/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file gets a name (SET_FILE): it is wrapped in an artifact manifest (image-spec, manifest.md, "Guidelines for Artifact
 * Usage"), so that names, gc and other tools have one rule for images and files. The manifest depends on nothing but the
 * request, so the same file from the same place has the same one.
 */
#ifndef SLUICE_COMMITD_FILING_H
#define SLUICE_COMMITD_FILING_H

#include "commitd/naming.h"
#include "commitd/pins.h"
#include "common/wire/message.h"

/*
 * Make an edit of a SET_FILE, and the text of the manifest. -EINVAL with a reason: the request is not valid; -ENOMEM.
 */
int filing_parse(const struct message *m, struct naming_edit *e, struct buf *manifest, struct reason *why);

/*
 * Store the manifest and the empty config, if the file itself is stored. Otherwise the edit is refused. On the
 * committer's thread. Blocks in fsync.
 */
void filing_store(struct layout *l, struct pins *pins, struct naming_edit *e, struct span manifest);

#endif
