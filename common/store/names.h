/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.json: the names in a store (image-layout.md; annotation org.opencontainers.image.ref.name). The document is kept
 * and edited as text, so that an edit parses no other entry, and everything else in it keeps its bytes: members and
 * entries of other tools, their order and their spelling.
 */
#ifndef SLUICE_STORE_NAMES_H
#define SLUICE_STORE_NAMES_H

#include "common/oci/descriptor.h"
#include "common/store/layout.h"
#include "common/store/name.h"

#define NAMES_INDEX_MAX (16u << 20) /* bytes of index.json, whoever writes it; about 60,000 names */

struct names;

/*
 * -EINVAL with a reason that names the file: not JSON, or not an index. -EFBIG: over NAMES_INDEX_MAX. A missing file is an
 * empty index.
 */
int names_load(struct layout *l, struct names **ret_names, struct reason *why);
void names_free(struct names *n);

/* Whether the file is still the one that was loaded or written: inode, size, times. Whatever else it is, it was changed. */
bool names_are_current(const struct names *n, struct layout *l);

/* The document was written to a file that, just before it got its name, was `written`. */
void names_written(struct names *n, struct layout *l, const struct stat *written);

size_t names_len(const struct names *n);

/*
 * The i-th entry. `ret_name` is borrowed, NULL for an entry without a name. -EINVAL: an entry that is not a descriptor.
 */
int names_at(const struct names *n, size_t i, const char **ret_name, struct descriptor *ret_descriptor);

/* The value of the i-th entry's NAMES_LEFT_OUT_KEY, or "". Borrowed. */
const char *names_left_out(const struct names *n, size_t i);

/* Whether such a value lists the digest. */
bool names_lists(const char *left_out, const struct digest *d);

/* -ENOENT: no image of that name. */
int names_find(const struct names *n, const char *name, struct descriptor *ret_descriptor);

/*
 * The annotation of an entry that lists what the image lacks although it has a name: the digests of foreign layers,
 * separated by commas.
 */
#define NAMES_LEFT_OUT_KEY "vnd.sluice.left-out"

/*
 * Give a name to a descriptor, with what was left out (NULL or empty: nothing), or remove a name (-ENOENT: no entry has
 * it). An entry that loses its name is removed; all other entries stay. If an entry already gives this name to this
 * content, nothing changes. -EFBIG: the document would be longer than names_load() reads. -ENOMEM. Unchanged on failure.
 */
int names_set(struct names *n, const char *name, const struct descriptor *d, const char *left_out);
int names_remove(struct names *n, const char *name);

/* The document, until the next edit. */
struct span names_text(const struct names *n);

#endif
