/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over what an image consists of, as far as it is stored: from a manifest or an index down to the configs and
 * layers. Code that needs all content of an image (to name, count or keep it) uses this walk; `pull`, which walks while
 * the content arrives, shares its two steps: walk_load() and walk_is_document().
 *
 * What is walked may be hostile. A digest is remembered, so that content that many manifests share is entered once;
 * depth and count are bounded.
 */
#ifndef SLUICE_STORE_WALK_H
#define SLUICE_STORE_WALK_H

#include "common/oci/manifest.h"
#include "common/store/layout.h"

/* Below one root. */
#define WALK_DOCUMENTS_MAX 4096  /* manifests and indexes */
#define WALK_CONTENT_MAX   65536 /* digests in all */

struct walk_node {
	const struct descriptor *descriptor; /* as its parent describes it; borrowed for the call */
	bool is_document;                    /* a manifest or an index: what it names comes later */
	unsigned depth;                      /* how many indexes and manifests are above it */
};

struct walk_hooks {
	/*
	 * A node, stored or not: each digest once, and once more where it was a foreign layer at first and is not
	 * elsewhere. 0, or what walk_from() ends with, with a reason.
	 */
	int (*visit)(void *self, const struct walk_node *node, struct reason *why);
	/*
	 * A document that cannot be entered (`error` as from walk_load()), or a node that is described otherwise than
	 * before (-EINVAL); `why` says which. 0: go on without what it names; else as above. NULL: the error ends the
	 * walk.
	 */
	int (*fault)(void *self, const struct walk_node *node, int error, struct reason *why);
	void *self;
};

struct walk;

/* 0 or -ENOMEM. Borrows the layout; `hooks` is copied. */
int walk_new(struct layout *l, const struct walk_hooks *hooks, struct walk **ret_walk);
void walk_free(struct walk *w);

/*
 * Walk from a root, which is taken for a document. What earlier roots of the same walk led to is not visited again. 0;
 * what a hook ended it with; without a hook for faults, the fault; -E2BIG: over the bounds above; -ENOMEM. With a
 * reason. Sets the media type of `root` to what its document says. Blocks on disk.
 */
int walk_from(struct walk *w, struct descriptor *root, struct reason *why);

/*
 * Load and parse a stored manifest or index at that depth. As layout_document_load() and manifest_parse() (-EINVAL: it
 * is neither); -E2BIG: an index within more than MANIFEST_NESTING_MAX others. With a reason that names the digest. Only
 * on 0 there is something to release.
 */
int walk_load(struct layout *l, const struct descriptor *d, unsigned depth, struct manifest *ret_manifest,
	      struct reason *why);

/*
 * Whether an entry of a document is a document itself. An index may also name other things: these are content. One
 * without a media type is a document, for an index is a list of those.
 */
bool walk_is_document(const struct manifest *parent, const struct descriptor *entry);

#endif
