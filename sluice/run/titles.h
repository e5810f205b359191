/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The titles of an artifact's files as paths below a directory. They are written by whoever pushed the artifact, so each
 * is checked alone and against the others before any is used: a plan is made as a whole or refused.
 */
#ifndef SLUICE_SLUICE_RUN_TITLES_H
#define SLUICE_SLUICE_RUN_TITLES_H

/* System */
#include <stdbool.h>
#include <stddef.h>

/* Base */
#include "common/base/reason.h"
#include "common/oci/digest.h"

#define TITLE_MAX       1024 /* bytes */
#define TITLE_DEPTH_MAX 32   /* components */

/*
 * Whether it is a path below a directory: not empty, at most TITLE_MAX bytes and TITLE_DEPTH_MAX components, each a name
 * other than "." and "..", of at most NAME_MAX bytes, without control characters, and not one of our hidden files'.
 * -EINVAL with a reason that does not repeat the title.
 */
int title_check(const char *title, struct reason *why);

/* Of content without one: "sha256-HEX". */
#define TITLE_OF_NONE_SIZE DIGEST_TEXT_SIZE
void title_of_none(const struct digest *d, char ret_title[static TITLE_OF_NONE_SIZE]);

struct titled {
	const char *title; /* borrowed */
	const struct digest *digest;
	size_t number; /* the caller's */
};

/*
 * Sort by title, a directory's together. `ret_len`: without those that have title and content of another. -EINVAL, with a
 * reason that names both: the same title for other content, or a file that is also a directory.
 */
int titles_arrange(struct titled *list, size_t len, size_t *ret_len, struct reason *why);

/*
 * After titles_arrange(): whether two of them are one path, or one a directory of the other, where the case of letters does
 * not count (ASCII's alone), and which.
 */
bool titles_find_alike(struct titled *list, size_t len, const char **ret_one, const char **ret_other);

#endif
