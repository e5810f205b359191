/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/walk.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* In a tree by digest, so that hostile digests cannot make the search slow. */
struct visited {
	struct digest digest;
	uint64_t size;    /* as it was first described; or SIZE_UNKNOWN */
	bool is_foreign;  /* in all descriptors so far */
	char *media_type; /* owned; with which it was entered, or NULL */
};

/* A document that was visited and is still to be entered. */
struct pending {
	STAILQ_ENTRY(pending) next;
	struct descriptor descriptor;
	unsigned depth;
};

struct walk {
	struct layout *layout;
	struct walk_hooks hooks;
	void *visited;                  /* tsearch(3) */
	STAILQ_HEAD(, pending) pending; /* by depth, so that a document is entered where it is least deep */
	unsigned documents, content;    /* below the current root */
};

static int compare(const void *a, const void *b)
{
	return digest_compare(&((const struct visited *)a)->digest, &((const struct visited *)b)->digest);
}

static void visited_free(void *visited)
{
	struct visited *v = visited;

	free(v->media_type);
	free(v);
}

int walk_pass_over(void *self, const struct walk_node *node, int error, struct reason *why)
{
	(void)self;
	(void)node;
	(void)why;
	return error == -ENOMEM ? error : 0;
}

int walk_new(struct layout *l, const struct walk_hooks *hooks, struct walk **ret_walk)
{
	struct walk *w = calloc(1, sizeof(*w));

	assert(hooks->visit);
	if (!w)
		return -ENOMEM;
	w->layout = l;
	w->hooks = *hooks;
	STAILQ_INIT(&w->pending);
	*ret_walk = w;
	return 0;
}

static void pending_drop(struct walk *w)
{
	struct pending *p;

	while ((p = STAILQ_FIRST(&w->pending))) {
		STAILQ_REMOVE_HEAD(&w->pending, next);
		free(p);
	}
}

void walk_free(struct walk *w)
{
	if (!w)
		return;
	pending_drop(w);
	tdestroy(w->visited, visited_free);
	free(w);
}

static int no_memory(struct reason *why)
{
	reason_set(why, "out of memory");
	return -ENOMEM;
}

/* The entry of a digest, created if `ret_is_new`. NULL: out of memory. */
static struct visited *remember(struct walk *w, const struct descriptor *d, bool *ret_is_new)
{
	struct visited *fresh = calloc(1, sizeof(*fresh));

	if (!fresh)
		return NULL;
	fresh->digest = d->digest;
	fresh->size = d->size;
	fresh->is_foreign = d->is_foreign;
	void *found = tsearch(fresh, &w->visited, compare);
	struct visited *v = found ? *(struct visited **)found : NULL;
	*ret_is_new = v == fresh;
	if (v != fresh)
		visited_free(fresh);
	return v;
}

/* Whether two descriptors of one digest agree. For plain content only the bytes count, not the media type. */
static bool agrees(const struct visited *v, const struct walk_node *node)
{
	const struct descriptor *d = node->descriptor;
	bool same_size = v->size == d->size || v->size == SIZE_UNKNOWN || d->size == SIZE_UNKNOWN;
	bool typed = node->is_document && v->media_type && *v->media_type && *d->media_type;

	return same_size && (!typed || strcmp(v->media_type, d->media_type) == 0);
}

static int fault(struct walk *w, const struct walk_node *node, int error, struct reason *why)
{
	return w->hooks.fault ? w->hooks.fault(w->hooks.self, node, error, why) : error;
}

static int enqueue(struct walk *w, const struct walk_node *node, struct reason *why)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return no_memory(why);
	p->descriptor = *node->descriptor;
	p->depth = node->depth;
	STAILQ_INSERT_TAIL(&w->pending, p, next);
	return 0;
}

static int count(struct walk *w, const struct walk_node *node, struct reason *why)
{
	w->content++;
	w->documents += node->is_document;
	if (w->content <= WALK_CONTENT_MAX && w->documents <= WALK_DOCUMENTS_MAX)
		return 0;
	reason_set(why, "the image has more than %d manifests or %d blobs", WALK_DOCUMENTS_MAX, WALK_CONTENT_MAX);
	return -E2BIG;
}

/* A digest that was seen before. */
static int meet_again(struct walk *w, struct visited *v, const struct walk_node *node, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE];

	if (agrees(v, node)) {
		bool is_news = v->is_foreign && !node->descriptor->is_foreign;
		v->is_foreign &= node->descriptor->is_foreign;
		return is_news ? w->hooks.visit(w->hooks.self, node, why) : 0;
	}
	digest_format(&node->descriptor->digest, digest);
	reason_set(why, "'%s' is described in two ways", digest);
	return fault(w, node, -EINVAL, why);
}

static int meet(struct walk *w, const struct walk_node *node, struct reason *why)
{
	bool is_new = false;
	struct visited *v = remember(w, node->descriptor, &is_new);

	if (!v)
		return no_memory(why);
	int r = is_new ? count(w, node, why) : meet_again(w, v, node, why);
	if (r == 0 && is_new)
		r = w->hooks.visit(w->hooks.self, node, why);
	if (r != 0 || !node->is_document || v->media_type)
		return r;
	v->media_type = strdup(node->descriptor->media_type);
	return v->media_type ? enqueue(w, node, why) : no_memory(why);
}

int walk_load(struct layout *l, const struct descriptor *d, unsigned depth, struct manifest *ret_manifest,
	      struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	char digest[DIGEST_TEXT_SIZE];
	struct reason detail = {""};
	int r = layout_document_load(l, &d->digest, &text, why);

	if (r < 0)
		return r;
	r = manifest_parse(buf_span(&text), d->media_type, ret_manifest, &detail);
	digest_format(&d->digest, digest);
	if (r < 0) {
		reason_set(why, "'%s' is not a manifest: %s", digest, detail.text);
		return r;
	}
	if (ret_manifest->kind == MANIFEST_IMAGE || depth < MANIFEST_NESTING_MAX)
		return 0;
	manifest_release(ret_manifest);
	reason_set(why, "'%s' is an index nested deeper than %d", digest, MANIFEST_NESTING_MAX);
	return -E2BIG;
}

bool walk_is_document(const struct manifest *parent, const struct descriptor *entry)
{
	return parent->kind == MANIFEST_INDEX &&
	       (entry->media_type[0] == '\0' || media_type_is_index(entry->media_type) ||
		media_type_is_manifest(entry->media_type));
}

/* Visit the entries of document `d`. */
static int enter(struct walk *w, struct descriptor *d, unsigned depth, struct reason *why)
{
	struct manifest m;
	struct walk_node node = {.descriptor = d, .is_document = true, .depth = depth};
	int r = walk_load(w->layout, d, depth, &m, why);

	if (r < 0)
		return fault(w, &node, r, why);
	memcpy(d->media_type, m.media_type, sizeof(d->media_type));
	if (w->hooks.enter)
		r = w->hooks.enter(w->hooks.self, &node, &m, why);
	for (size_t i = 0; r == 0 && i < m.entries_len; i++) {
		node = (struct walk_node){
		    .descriptor = &m.entries[i],
		    .is_document = walk_is_document(&m, &m.entries[i]),
		    .depth = depth + 1,
		};
		r = meet(w, &node, why);
	}
	manifest_release(&m);
	return r;
}

int walk_from(struct walk *w, struct descriptor *root, struct reason *why)
{
	const struct walk_node node = {.descriptor = root, .is_document = true};
	struct descriptor *d = root;
	struct pending *p;

	w->documents = w->content = 0;
	int r = meet(w, &node, why);
	while (r == 0 && (p = STAILQ_FIRST(&w->pending))) {
		r = enter(w, d ? d : &p->descriptor, p->depth, why);
		d = NULL;
		STAILQ_REMOVE_HEAD(&w->pending, next);
		free(p);
	}
	pending_drop(w);
	return r;
}
