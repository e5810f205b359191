/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/inventory.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/array.h"
#include "common/base/cleanup.h"

void inventory_release(struct inventory *v)
{
	free(v->list);
	*v = (struct inventory)INVENTORY_INIT;
}

static int compare(const void *a, const void *b)
{
	const struct digest *x = &((const struct stored *)a)->digest, *y = &((const struct stored *)b)->digest;

	return x->alg != y->alg ? (x->alg > y->alg) - (x->alg < y->alg) : digest_compare(x, y);
}

static int each_of(struct layout *l, enum hash_alg alg, int (*visit)(void *self, const struct digest *d), void *self)
{
	char text[DIGEST_TEXT_SIZE];
	struct digest digest;
	int blobs_fd = layout_blobs_fd(l, alg), r = 0;

	if (blobs_fd < 0)
		return 0;
	int fd = openat(blobs_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		r = -errno;
		(void)close_fd(fd);
		return r;
	}
	const struct dirent *e;
	while ((errno = 0, r == 0) && (e = readdir(dir))) {
		int len = snprintf(text, sizeof(text), "%s:%s", hash_name(alg), e->d_name);
		if (len < (int)sizeof(text) && digest_parse(span_str(text), &digest, NULL) == 0)
			r = visit(self, &digest);
	}
	return r != 0 ? r : -errno;
}

int inventory_each(struct layout *l, int (*visit)(void *self, const struct digest *d), void *self)
{
	int r = each_of(l, HASH_SHA256, visit, self);

	return r != 0 ? r : each_of(l, HASH_SHA512, visit, self);
}

struct taking {
	struct layout *layout;
	struct inventory *inventory;
};

static int add(void *self, const struct digest *d)
{
	const struct taking *taking = self;
	struct inventory *v = taking->inventory;
	struct stored blob = {.digest = *d};

	if (layout_blob_size(taking->layout, d, &blob.size) < 0)
		return 0;
	struct stored *list = array_room(v->list, v->len, &v->room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	v->list = list;
	v->list[v->len++] = blob;
	return 0;
}

int inventory_take(struct layout *l, struct inventory *ret_inventory, struct reason *why)
{
	struct inventory v = INVENTORY_INIT;
	struct taking taking = {.layout = l, .inventory = &v};
	int r = inventory_each(l, add, &taking);

	if (r < 0) {
		reason_set(why, "cannot list '%s/" LAYOUT_BLOBS "': %s", layout_path(l), strerror(-r));
		inventory_release(&v);
		return r;
	}
	if (v.len > 1)
		qsort(v.list, v.len, sizeof(*v.list), compare);
	*ret_inventory = v;
	return 0;
}

struct stored *inventory_find(const struct inventory *v, const struct digest *d)
{
	const struct stored key = {.digest = *d};

	return v->len > 0 ? bsearch(&key, v->list, v->len, sizeof(*v->list), compare) : NULL;
}
