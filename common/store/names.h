/* SPDX-License-Identifier: Apache-2.0 */
/*
 * index.json: the names of the images in a store (image-layout.md; annotation org.opencontainers.image.ref.name). An
 * edit keeps everything else in the document.
 */
#ifndef SLUICE_STORE_NAMES_H
#define SLUICE_STORE_NAMES_H

#include "common/oci/descriptor.h"
#include "common/store/layout.h"

#define NAME_MAX_BYTES  1024
#define NAMES_INDEX_MAX (16u << 20) /* bytes of index.json, whoever writes it; about 60,000 names */

struct names;

/*
 * -EINVAL with a reason that names the file: not JSON, or not an index. -EFBIG: over NAMES_INDEX_MAX. A missing file is an
 * empty index.
 */
int names_load(struct layout *l, struct names **ret_names, struct reason *why);
void names_free(struct names *n);

size_t names_len(const struct names *n);

/*
 * The i-th entry. `ret_name` is borrowed, NULL for an entry without a name. -EINVAL: an entry that is not a descriptor.
 */
int names_at(const struct names *n, size_t i, const char **ret_name, struct descriptor *ret_descriptor);

/* The value of the i-th entry's NAMES_LEFT_OUT_KEY, or "". Borrowed. */
const char *names_left_out(const struct names *n, size_t i);

/* -ENOENT: no image of that name. */
int names_find(const struct names *n, const char *name, struct descriptor *ret_descriptor);

/*
 * Whether the name fits the annotation's character set (annotations.md, org.opencontainers.image.ref.name): components
 * separated by slashes, each beginning and ending with a letter or a digit. Beyond that grammar, separators may be
 * adjacent ("a__b" is a valid repository name), and "[::1]" may come first.
 */
bool name_is_valid(struct span name);

/*
 * The annotation of an entry that lists what the image lacks although it has a name: the digests of foreign layers,
 * separated by commas.
 */
#define NAMES_LEFT_OUT_KEY "vnd.sluice.left-out"

/*
 * Give a name to a descriptor, with what was left out (NULL or empty: nothing), or remove a name (-ENOENT: no entry has
 * it). An entry that loses its name is removed; all other entries stay. If an entry already gives this name to this
 * content, nothing changes.
 */
int names_set(struct names *n, const char *name, const struct descriptor *d, const char *left_out);
int names_remove(struct names *n, const char *name);

/* Append the document to `out`. -EFBIG: longer than names_load() would read, and `out` is unchanged. -ENOMEM. */
int names_format(const struct names *n, struct buf *out);

#endif
