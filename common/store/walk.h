/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over the stored content of an image: from a manifest or an index down to the configs and layers. Code that
 * needs all content of an image (to name, count or keep it) uses this walk; `pull`, which walks while the content
 * arrives, shares its two steps: walk_load() and walk_is_document().
 *
 * The content may be hostile. Each digest is remembered, so that content shared by many manifests is entered once;
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
	const struct descriptor *descriptor; /* as described by its parent; borrowed for the call */
	bool is_document;                    /* a manifest or an index: its entries follow later */
	unsigned depth;                      /* number of indexes and manifests above it */
};

struct walk_hooks {
	/*
	 * A node, stored or not: each digest once, and once more if it was first seen as a foreign layer and later as
	 * another. 0, or the result with which walk_from() ends, with a reason.
	 */
	int (*visit)(void *self, const struct walk_node *node, struct reason *why);
	/*
	 * A document whose entries follow: each document that can be entered, once, however many entries and roots lead
	 * to it. The manifest is borrowed for the call. As above; may be NULL.
	 */
	int (*enter)(void *self, const struct walk_node *node, const struct manifest *m, struct reason *why);
	/*
	 * A document that cannot be entered (`error` as from walk_load()), or a node that is described differently than
	 * before (-EINVAL); `why` says which. 0: continue without its entries; else as above. NULL: the error ends the
	 * walk.
	 */
	int (*fault)(void *self, const struct walk_node *node, int error, struct reason *why);
	void *self;
};

/* A `fault` hook for whom what is missing, or is no manifest, leads to nothing further: only -ENOMEM ends the walk. */
int walk_pass_over(void *self, const struct walk_node *node, int error, struct reason *why);

struct walk;

/* 0 or -ENOMEM. Borrows the layout; `hooks` is copied. */
int walk_new(struct layout *l, const struct walk_hooks *hooks, struct walk **ret_walk);
void walk_free(struct walk *w);

/*
 * Walk from a root, which must be a document. What was visited from earlier roots of the same walk is not visited
 * again. 0; the result of a hook that ended it; without a `fault` hook, the error; -E2BIG: over the bounds above;
 * -ENOMEM. With a reason. Sets the media type of `root` to that of the document. Blocks on disk.
 */
int walk_from(struct walk *w, struct descriptor *root, struct reason *why);

/*
 * Load and parse a stored manifest or index at that depth. As layout_document_load() and manifest_parse() (-EINVAL: it
 * is neither); -E2BIG: an index nested in more than MANIFEST_NESTING_MAX others. With a reason that names the digest.
 * Only after 0 is there something to release.
 */
int walk_load(struct layout *l, const struct descriptor *d, unsigned depth, struct manifest *ret_manifest,
	      struct reason *why);

/*
 * Whether an entry of a document is itself a document. An index may also list other things, which are plain content; an
 * entry of an index without a media type counts as a document.
 */
bool walk_is_document(const struct manifest *parent, const struct descriptor *entry);

#endif
