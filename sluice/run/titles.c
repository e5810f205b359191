/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/titles.h"

/* System */
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Sluice */
#include "sluice/run/outfile.h"

static int refuse(const char *how, struct reason *why)
{
	reason_set(why, "%s", how);
	return -EINVAL;
}

/* C0, DEL, and C1 in UTF-8; other bytes may be of any encoding. */
static bool has_controls(const char *title)
{
	for (const uint8_t *p = (const uint8_t *)title; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] <= 0x9f))
			return true;
	return false;
}

static int component_check(const char *name, size_t len, struct reason *why)
{
	if (len == 0)
		return refuse("it has an empty component", why);
	if ((len == 1 && name[0] == '.') || (len == 2 && name[0] == '.' && name[1] == '.'))
		return refuse("it has a component '.' or '..'", why);
	if (len > NAME_MAX)
		return refuse("a component is longer than 255 bytes", why);
	if (strncasecmp(name, OUTFILE_HIDDEN, strlen(OUTFILE_HIDDEN)) == 0)
		return refuse("names that begin with " OUTFILE_HIDDEN " are for unfinished files", why);
	return 0;
}

int title_check(const char *title, struct reason *why)
{
	const char *name = title, *slash;
	unsigned depth = 1;
	int r = 0;

	if (title[0] == '\0')
		return refuse("it is empty", why);
	if (strlen(title) > TITLE_MAX)
		return refuse("it is longer than 1024 bytes", why);
	if (title[0] == '/')
		return refuse("it is an absolute path", why);
	if (has_controls(title))
		return refuse("it has control characters", why);
	for (; r == 0 && (slash = strchr(name, '/')); name = slash + 1, depth++)
		r = component_check(name, (size_t)(slash - name), why);
	if (r == 0)
		r = component_check(name, strlen(name), why);
	return r == 0 && depth > TITLE_DEPTH_MAX ? refuse("it has more than 32 components", why) : r;
}

void title_of_none(const struct digest *d, char ret_title[static TITLE_OF_NONE_SIZE])
{
	digest_format(d, ret_title);
	ret_title[strcspn(ret_title, ":")] = '-';
}

static int fold(int c)
{
	return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c;
}

/* The slash comes before all other bytes: "a", "a/b", "a-b". So what is in a directory follows the file of its name. */
static int rank(uint8_t c)
{
	return c == '/' ? 1 : c == '\0' ? 0 : fold(c) + 1;
}

static int compare_folded(const void *a, const void *b)
{
	const uint8_t *p = (const uint8_t *)((const struct titled *)a)->title;
	const uint8_t *q = (const uint8_t *)((const struct titled *)b)->title;

	for (; *p && fold(*p) == fold(*q); p++, q++)
		;
	return rank(*p) - rank(*q);
}

/* As above, with the case. */
static int compare(const void *a, const void *b)
{
	const uint8_t *p = (const uint8_t *)((const struct titled *)a)->title;
	const uint8_t *q = (const uint8_t *)((const struct titled *)b)->title;

	for (; *p && *p == *q; p++, q++)
		;
	return (*p == '/' ? 1 : *p ? *p + 1 : 0) - (*q == '/' ? 1 : *q ? *q + 1 : 0);
}

int titles_arrange(struct titled *list, size_t len, size_t *ret_len, struct reason *why)
{
	size_t kept = 0;

	if (len > 1)
		qsort(list, len, sizeof(*list), compare);
	for (size_t i = 0; i < len; i++) {
		const struct titled *last = kept > 0 ? &list[kept - 1] : NULL;
		size_t last_len = last ? strlen(last->title) : 0;
		if (last && strcmp(last->title, list[i].title) == 0) {
			if (digest_eq(last->digest, list[i].digest))
				continue;
			reason_set(why, "two files have the title '%s'", last->title);
			return -EINVAL;
		}
		if (last && strncmp(last->title, list[i].title, last_len) == 0 && list[i].title[last_len] == '/') {
			reason_set(why, "'%s' is a file, and a directory of '%s'", last->title, list[i].title);
			return -EINVAL;
		}
		list[kept++] = list[i];
	}
	*ret_len = kept;
	return 0;
}

/* One may also be a directory of the other: "A", "a/b". */
static bool is_alike(const char *one, const char *other)
{
	size_t len = strlen(one);

	return strncasecmp(one, other, len) == 0 && (other[len] == '\0' || other[len] == '/');
}

bool titles_find_alike(struct titled *list, size_t len, const char **ret_one, const char **ret_other)
{
	bool found = false;

	if (len > 1)
		qsort(list, len, sizeof(*list), compare_folded);
	for (size_t i = 1; !found && i < len; i++) {
		found = is_alike(list[i - 1].title, list[i].title);
		if (found) {
			*ret_one = list[i - 1].title;
			*ret_other = list[i].title;
		}
	}
	if (len > 1)
		qsort(list, len, sizeof(*list), compare);
	return found;
}
