/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/naming.h"

/* System */
#include <errno.h>
#include <string.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

/* Store */
#include "common/store/names.h"
#include "common/store/walk.h"

#define INDEX_MODE 0644

static void names_cleanup(struct names **n)
{
	names_free(*n);
}

static void walk_cleanup(struct walk **w)
{
	walk_free(*w);
}

static enum fail_class fail_errno(const struct layout *l, int r, const char *verb, struct reason *why)
{
	reason_set(why, "cannot %s '%s/" LAYOUT_INDEX "': %s", verb, layout_path(l), strerror(-r));
	return file_is_full(r) ? FAIL_SPACE : FAIL_IO;
}

static enum fail_class load(struct layout *l, struct names **ret_names, struct reason *why)
{
	struct reason inner;
	reason_set(&inner, "it is not an index");
	int r = names_load(l, ret_names, &inner);
	if (r == -EINVAL || r == -EFBIG) {
		reason_set(why, "%s", inner.text);
		return FAIL_BAD_DATA;
	}
	return r < 0 ? fail_errno(l, r, "read", why) : FAIL_NONE;
}

static enum fail_class store(struct layout *l, const struct names *n, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	int r = names_format(n, &text);
	if (r == -EFBIG) {
		reason_set(why,
			   "'%s/" LAYOUT_INDEX
			   "' is full: it would be longer than %u bytes; remove names with 'sluice rm'",
			   layout_path(l), NAMES_INDEX_MAX);
		return FAIL_SPACE;
	}
	if (r == 0)
		r = durable_replace_at(layout_root_fd(l), LAYOUT_INDEX, text.data, text.len, INDEX_MODE);
	return r < 0 ? fail_errno(l, r, "write", why) : FAIL_NONE;
}

struct check {
	struct layout *layout;
	struct buf left_out; /* digests of foreign layers that are not stored, separated by commas */
};

static void check_cleanup(struct check *c)
{
	buf_release(&c->left_out);
}

static int leave_out(struct check *c, const char *digest, struct reason *why)
{
	int r = buf_appendf(&c->left_out, "%s%s", c->left_out.len > 0 ? "," : "", digest);
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
static enum fail_class check_image(struct layout *l, struct descriptor *d, struct check *c, struct reason *why)
{
	const struct walk_hooks hooks = {.visit = check_node, .self = c};
	CLEANUP(walk_cleanup) struct walk *w = NULL;

	if (d->size == SIZE_UNKNOWN)
		(void)layout_blob_size(l, &d->digest, &d->size); /* otherwise check_node() has said what is wrong */
	int r = walk_new(l, &hooks, &w);
	reason_set(why, "%s", strerror(-r));
	if (r == 0)
		r = walk_from(w, d, why);
	return class_of(r);
}

enum fail_class naming_set(struct layout *l, const char *name, struct descriptor *d, struct reason *why)
{
	CLEANUP(names_cleanup) struct names *n = NULL;
	CLEANUP(check_cleanup) struct check c = {.layout = l, .left_out = BUF_INIT};
	struct reason inner;
	enum fail_class f = check_image(l, d, &c, &inner);
	if (f != FAIL_NONE) {
		reason_set(why, "cannot name '%s': %s", name, inner.text);
		return f;
	}
	f = load(l, &n, why);
	if (f != FAIL_NONE)
		return f;
	int r = names_set(n, name, d, c.left_out.data);
	if (r < 0)
		return fail_errno(l, r, "edit", why);
	/* Even if it is unchanged: an earlier run may have died between the rename and the sync. */
	return store(l, n, why);
}

/* The name does not exist, but an earlier run may have died before its removal was durable. */
static enum fail_class sync_root(struct layout *l, struct reason *why)
{
	AUTO_FD fd = -1; /* a new descriptor: one whose sync has failed must not be synced again */
	int r = dir_open_at(layout_root_fd(l), ".", false, &fd);
	if (r == 0)
		r = FAILPOINT(SYNC, "index.sync", durable_sync(fd));
	return r < 0 ? fail_errno(l, r, "sync the directory of", why) : FAIL_NONE;
}

enum fail_class naming_remove(struct layout *l, const char *name, bool *ret_changed, struct reason *why)
{
	CLEANUP(names_cleanup) struct names *n = NULL;
	enum fail_class f = load(l, &n, why);
	if (f != FAIL_NONE)
		return f;
	int r = names_remove(n, name);
	if (r < 0 && r != -ENOENT)
		return fail_errno(l, r, "edit", why);
	f = r == -ENOENT ? sync_root(l, why) : store(l, n, why);
	if (f == FAIL_NONE)
		*ret_changed = r == 0;
	return f;
}
