/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/keep.h"

/* System */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

struct kept {
	SLIST_ENTRY(kept) link;
	char text[];
};

static SLIST_HEAD(, kept) all = SLIST_HEAD_INITIALIZER(all);

const char *keep_text(const char *text)
{
	struct kept *k;
	SLIST_FOREACH(k, &all, link)
		if (strcmp(k->text, text) == 0)
			return k->text;
	size_t size = strlen(text) + 1;
	k = malloc(sizeof(*k) + size);
	if (!k)
		return NULL;
	memcpy(k->text, text, size);
	SLIST_INSERT_HEAD(&all, k, link);
	return k->text;
}
