/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/naming.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

/* Store */
#include "common/store/walk.h"

#define INDEX_MODE 0644
#define TRIES      16 /* to write an index that another program keeps changing */

struct naming {
	struct layout *layout;
	struct names *names; /* as the file was last seen; NULL: to be loaded */
};

static void walk_cleanup(struct walk **w)
{
	walk_free(*w);
}

int naming_new(struct layout *l, struct naming **ret_naming)
{
	struct naming *n = calloc(1, sizeof(*n));

	if (!n)
		return -ENOMEM;
	n->layout = l;
	*ret_naming = n;
	return 0;
}

static void forget(struct naming *n)
{
	names_free(n->names);
	n->names = NULL;
}

void naming_free(struct naming *n)
{
	if (!n)
		return;
	forget(n);
	free(n);
}

void naming_edit_release(struct naming_edit *e)
{
	buf_release(&e->left_out);
}

static enum fail_class fail_errno(const struct layout *l, int r, const char *verb, struct reason *why)
{
	reason_set(why, "cannot %s '%s/" LAYOUT_INDEX "': %s", verb, layout_path(l), strerror(-r));
	return file_is_full(r) ? FAIL_SPACE : FAIL_IO;
}

/* ── is all of it stored? ── */

struct check {
	struct layout *layout;
	struct buf *left_out;
};

static int leave_out(struct check *c, const char *digest, struct reason *why)
{
	int r = buf_appendf(c->left_out, "%s%s", c->left_out->len > 0 ? "," : "", digest);
	if (r < 0)
		reason_set(why, "out of memory");
	return r;
}

/* Whether a node is stored with the size that its descriptor gives. */
static int check_node(void *self, const struct walk_node *node, struct reason *why)
{
	struct check *c = self;
	const struct descriptor *d = node->descriptor;
	char text[DIGEST_TEXT_SIZE];
	uint64_t size;
	int r = layout_blob_size(c->layout, &d->digest, &size);

	digest_format(&d->digest, text);
	if (r == -ENOENT && d->is_foreign)
		return leave_out(c, text, why);
	if (r == -ENOENT) {
		reason_set(why, "%s is not stored (%s)", text, *d->media_type ? d->media_type : "no media type");
		return r;
	}
	if (r < 0) {
		reason_set(why, "cannot check %s: %s", text, strerror(-r));
		return -EIO;
	}
	if (d->size == size)
		return 0;
	reason_set(why, "%s has %llu bytes, its descriptor says %llu", text, (unsigned long long)size,
		   (unsigned long long)d->size);
	return -EBADMSG;
}

static enum fail_class class_of(int r)
{
	switch (-r) {
	case 0:
		return FAIL_NONE;
	case ENOENT:
		return FAIL_NOT_FOUND;
	case EINVAL:
	case EBADMSG:
	case EFBIG:
	case E2BIG:
		return FAIL_BAD_DATA;
	default:
		return FAIL_IO;
	}
}

/* Whether all content of an image is stored; completes the descriptor, and says what was left out. */
static enum fail_class check_image(struct layout *l, struct descriptor *d, struct buf *left_out, struct reason *why)
{
	struct check c = {.layout = l, .left_out = left_out};
	const struct walk_hooks hooks = {.visit = check_node, .self = &c};
	CLEANUP(walk_cleanup) struct walk *w = NULL;

	if (d->size == SIZE_UNKNOWN)
		(void)layout_blob_size(l, &d->digest, &d->size); /* otherwise check_node() has said what is wrong */
	int r = walk_new(l, &hooks, &w);
	reason_set(why, "%s", strerror(-r));
	if (r == 0)
		r = walk_from(w, d, why);
	return class_of(r);
}

/* An edit of the batch before `e` that gives a name to the same content, described in the same way; or NULL. */
static const struct naming_edit *checked_before(const struct naming_batch *batch, const struct naming_edit *e)
{
	const struct naming_edit *b;

	STAILQ_FOREACH(b, batch, next)
	{
		if (b == e)
			return NULL;
		if (!b->is_removal && !b->is_refused && digest_eq(&b->descriptor.digest, &e->descriptor.digest) &&
		    (e->descriptor.size == SIZE_UNKNOWN || e->descriptor.size == b->descriptor.size) &&
		    (*e->descriptor.media_type == '\0' ||
		     strcmp(b->descriptor.media_type, e->descriptor.media_type) == 0))
			return b;
	}
	return NULL;
}

/* Of many names for the same content, only the first needs the walk. */
static void check_edit(struct naming *n, const struct naming_batch *batch, struct naming_edit *e)
{
	const struct naming_edit *before = checked_before(batch, e);
	struct reason inner = {"out of memory"};

	if (before) {
		e->descriptor.size = before->descriptor.size;
		memcpy(e->descriptor.media_type, before->descriptor.media_type, sizeof(e->descriptor.media_type));
		int r = buf_append(&e->left_out, before->left_out.data, before->left_out.len);
		e->outcome = r < 0 ? FAIL_IO : FAIL_NONE;
	} else {
		e->outcome = check_image(n->layout, &e->descriptor, &e->left_out, &inner);
	}
	e->is_refused = e->outcome != FAIL_NONE;
	if (e->is_refused)
		reason_set(&e->why, "cannot name '%s': %s", e->name, inner.text);
}

/* ── the document ── */

/* Load the document, unless what we have is still what the file has. */
static enum fail_class refresh(struct naming *n, struct reason *why)
{
	struct reason inner;

	if (n->names && names_are_current(n->names, n->layout))
		return FAIL_NONE;
	forget(n);
	reason_set(&inner, "it is not an index");
	int r = names_load(n->layout, &n->names, &inner);
	if (r == -EINVAL || r == -EFBIG) {
		reason_set(why, "%s", inner.text);
		return FAIL_BAD_DATA;
	}
	return r < 0 ? fail_errno(n->layout, r, "read", why) : FAIL_NONE;
}

void naming_local(const struct digest *file, char ret_name[static NAME_MAX_BYTES + 1])
{
	char hex[DIGEST_TEXT_SIZE];

	digest_format_hex(file, hex);
	(void)snprintf(ret_name, NAME_MAX_BYTES + 1, "files.local/%s-%s", hash_name(file->alg), hex);
}

/* Whether a name leads to that file already, and all that it needs is stored. */
static bool is_of_file(struct layout *l, struct descriptor *d, const struct digest *file)
{
	AUTO_BUF left_out = BUF_INIT;
	struct manifest m;
	struct reason why;

	if (walk_load(l, d, 0, &m, &why) < 0)
		return false;
	/* The config, and the file. */
	bool is = strcmp(m.artifact_type, ARTIFACT_TYPE_FILE) == 0 && m.entries_len == 2 &&
		  digest_eq(&m.entries[1].digest, file);
	manifest_release(&m);
	return is && check_image(l, d, &left_out, &why) == FAIL_NONE;
}

/* A file keeps the manifest that its name has; and a name that we chose does not take that of other content. */
static void choose(struct naming *n, struct naming_edit *e)
{
	char local[NAME_MAX_BYTES + 1];
	struct descriptor found;
	int r = names_find(n->names, e->name, &found);

	if (r == 0 && is_of_file(n->layout, &found, &e->file)) {
		e->descriptor = found;
		return;
	}
	naming_local(&e->file, local);
	if (r == -ENOENT || !e->gives_way || strcmp(e->name, local) == 0)
		return;
	memcpy(e->name, local, sizeof(local));
	choose(n, e);
}

static void edit_one(struct naming *n, struct naming_edit *e)
{
	if (e->is_file)
		choose(n, e);
	int r = e->is_removal ? names_remove(n->names, e->name)
			      : names_set(n->names, e->name, &e->descriptor, e->left_out.data);

	e->outcome = FAIL_NONE;
	e->changed = r == 0;
	if (r == -EFBIG) {
		reason_set(&e->why,
			   "'%s/" LAYOUT_INDEX
			   "' is full: it would be longer than %u bytes; remove names with 'sluice rm'",
			   layout_path(n->layout), NAMES_INDEX_MAX);
		e->outcome = FAIL_SPACE;
	} else if (r < 0 && r != -ENOENT) {
		e->outcome = fail_errno(n->layout, r, "edit", &e->why);
	}
}

/* Make all edits in the document. Whether it has to be written. */
static bool edit_all(struct naming *n, struct naming_batch *batch)
{
	struct naming_edit *e;
	bool is_needed = false;

	STAILQ_FOREACH(e, batch, next)
	{
		if (e->is_refused)
			continue;
		edit_one(n, e);
		/* Even if it was set before: an earlier run may have died between the rename and the sync. */
		is_needed |= e->changed;
	}
	return is_needed;
}

/* No name has changed, but an earlier run may have died before its removal was durable. */
static enum fail_class sync_root(struct layout *l, struct reason *why)
{
	AUTO_FD fd = -1; /* a new descriptor: one whose sync has failed must not be synced again */
	int r = dir_open_at(layout_root_fd(l), ".", false, &fd);
	if (r == 0)
		r = FAILPOINT(SYNC, "index.sync", durable_sync(fd));
	return r < 0 ? fail_errno(l, r, "sync the directory of", why) : FAIL_NONE;
}

static int may_replace(void *self)
{
	struct naming *n = self;
	return names_are_current(n->names, n->layout) ? 0 : -ESTALE;
}

/* -ESTALE: another program has changed the file, and nothing is written. */
static int store(struct naming *n)
{
	const struct durable_check check = {.may = may_replace, .self = n};
	struct span text = names_text(n->names);
	struct stat written;
	int r = durable_replace_if_at(layout_root_fd(n->layout), LAYOUT_INDEX, text.data, text.len, INDEX_MODE, &check,
				      &written);

	if (r == 0)
		names_written(n->names, n->layout, &written);
	else
		forget(n);
	return r;
}

/* One try. -ESTALE: another one is needed. Otherwise 0, and how it ended for all who are not refused. */
static int attempt(struct naming *n, struct naming_batch *batch, unsigned *writes, enum fail_class *ret_class,
		   struct reason *why)
{
	int r = 0;

	*ret_class = refresh(n, why);
	if (*ret_class != FAIL_NONE)
		return 0;
	if (!edit_all(n, batch)) {
		*ret_class = sync_root(n->layout, why);
		return 0;
	}
	r = store(n);
	*writes += r == 0;
	if (r < 0 && r != -ESTALE)
		*ret_class = fail_errno(n->layout, r, "write", why);
	return r == -ESTALE ? r : 0;
}

static void fail_all(struct naming_batch *batch, enum fail_class fail_class, const struct reason *why)
{
	struct naming_edit *e;

	STAILQ_FOREACH(e, batch, next)
	{
		if (e->outcome != FAIL_NONE)
			continue;
		e->outcome = fail_class;
		e->changed = false;
		e->why = *why;
	}
}

unsigned naming_apply(struct naming *n, struct naming_batch *batch)
{
	struct naming_edit *e;
	struct reason why;
	enum fail_class fail_class = FAIL_NONE;
	unsigned writes = 0, tries = 0, left = 0;
	int r;

	STAILQ_FOREACH(e, batch, next)
	{
		if (!e->is_removal && !e->is_refused)
			check_edit(n, batch, e);
		left += !e->is_refused;
	}
	if (left == 0)
		return 0;
	do
		r = attempt(n, batch, &writes, &fail_class, &why);
	while (r == -ESTALE && ++tries < TRIES);
	if (r == -ESTALE) {
		reason_set(&why, "another program keeps changing '%s/" LAYOUT_INDEX "'; try again",
			   layout_path(n->layout));
		fail_class = FAIL_AGAIN;
	}
	if (fail_class != FAIL_NONE)
		fail_all(batch, fail_class, &why);
	return writes;
}
