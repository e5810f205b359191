/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people mean by a NAME or a DIGEST: a name exactly as in index.json, else the full form of a reference, else a digest
 * or the beginning of one: at least 6 of its digits, with or without "sha256:", that fit one stored blob or one name's
 * content alone.
 */
#ifndef SLUICE_SLUICE_CMD_FIND_H
#define SLUICE_SLUICE_CMD_FIND_H

/* OCI */
#include "common/oci/reference.h"
#include "common/store/layout.h"
#include "common/store/names.h"

#define FIND_DIGITS_MIN 6

enum find_where {
	FIND_NAMES,   /* a name; or the digest of what has a name */
	FIND_CONTENT, /* besides, the digest of any stored blob; a whole digest even if it is not stored */
};

struct found {
	bool by_name;
	size_t entry;     /* in index.json: the one with that name, or the first with that digest; SIZE_MAX: none */
	const char *name; /* of that entry, or NULL; borrowed from the names */
	struct descriptor descriptor; /* the entry's; or only a digest, and SIZE_UNKNOWN */
};

/*
 * Find it. `n` may be NULL if the names cannot be read; then only digests are known. 0; -ENOENT, -EILSEQ (no such
 * digest can exist), -ENOTUNIQ (the digits fit several, which the reason lists) or another -errno, with a reason.
 */
int find(struct layout *l, const struct names *n, const char *text, enum find_where where, struct found *ret_found,
	 struct reason *why);

/* Its exit code. */
int find_exit_code(int r);

/*
 * Whether these are at least FIND_DIGITS_MIN lower-case hex digits, perhaps after the name of an algorithm and a colon, and
 * no more than a digest has.
 */
bool find_is_digits(const char *text);

/* Whether a digest, as text, begins with these, for which find_is_digits() is true. */
bool find_digits_fit(const char *digits, const char *digest);

/* Open a store and its names. 0, or an exit code after a line that says why. The caller frees both. */
int find_open(const char *path, struct layout **ret_layout, struct names **ret_names);

#endif
