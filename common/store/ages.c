/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/ages.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/array.h"
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/durable.h"
#include "common/base/file.h"
#include "common/base/text.h"

#define AGES_MODE 0644

struct age {
	struct digest digest;
	uint64_t age_s;
	bool is_kept;
};

struct ages {
	uint8_t boot[BOOT_ID_SIZE];
	uint64_t now_s;   /* to which the ages refer */
	struct age *list; /* owned; by digest up to `sorted`, then as they came */
	size_t len, room, sorted;
};

void ages_free(struct ages *a)
{
	if (!a)
		return;
	free(a->list);
	free(a);
}

static int compare(const void *a, const void *b)
{
	return digest_compare(&((const struct age *)a)->digest, &((const struct age *)b)->digest);
}

static struct age *find(const struct ages *a, const struct digest *d)
{
	const struct age key = {.digest = *d};

	return a->sorted > 0 ? bsearch(&key, a->list, a->sorted, sizeof(*a->list), compare) : NULL;
}

static int add(struct ages *a, const struct age *age)
{
	struct age *list = array_room(a->list, a->len, &a->room, sizeof(*list));

	if (!list)
		return -ENOMEM;
	a->list = list;
	a->list[a->len++] = *age;
	return 0;
}

static int line_parse(struct ages *a, struct span line, uint64_t passed_s)
{
	const uint8_t *space = line.len > 0 ? memchr(line.data, ' ', line.len) : NULL;
	size_t len = space ? (size_t)(space - line.data) : 0;
	struct age age;

	if (!space || digest_parse(span_of(line.data, len), &age.digest, NULL) < 0 ||
	    text_number(span_of(space + 1, line.len - len - 1), INT64_MAX, &age.age_s) < 0)
		return -EINVAL;
	age.age_s += passed_s;
	age.is_kept = false;
	return add(a, &age);
}

static bool head_parse(const struct ages *a, char **text, uint64_t *ret_passed_s)
{
	char boot[2 * BOOT_ID_SIZE + 1];
	unsigned long long at;
	uint8_t id[BOOT_ID_SIZE];
	int len = 0;

	if (sscanf(*text, "boot=%32[0-9a-f] at=%19llu%n", boot, &at, &len) != 2 || (*text)[len] != '\n' ||
	    boot_id_read(boot, id) < 0)
		return false;
	*text += len + 1;
	bool is_same = memcmp(id, a->boot, sizeof(id)) == 0 && at <= a->now_s;
	*ret_passed_s = is_same ? a->now_s - at : a->now_s;
	return true;
}

/* What is damaged is new: nothing is removed too early. */
static int parse(struct ages *a, struct buf *text)
{
	char *at = text->data, *end;
	uint64_t passed_s = 0;
	int r = 0;

	if (!at || !head_parse(a, &at, &passed_s))
		return 0;
	for (; r != -ENOMEM && (end = strchr(at, '\n')); at = end + 1)
		r = line_parse(a, span_of(at, (size_t)(end - at)), passed_s);
	if (a->len > 1)
		qsort(a->list, a->len, sizeof(*a->list), compare);
	a->sorted = a->len;
	return r == -ENOMEM ? r : 0;
}

int ages_new(const uint8_t boot[static BOOT_ID_SIZE], struct ages **ret_ages)
{
	struct ages *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	memcpy(a->boot, boot, sizeof(a->boot));
	a->now_s = clock_boot_s();
	*ret_ages = a;
	return 0;
}

int ages_add(struct ages *a, const struct digest *d, uint64_t age_s)
{
	return add(a, &(struct age){.digest = *d, .age_s = age_s, .is_kept = true});
}

int ages_each(const struct ages *a, int (*visit)(void *self, const struct digest *d, uint64_t age_s), void *self)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < a->sorted; i++)
		r = visit(self, &a->list[i].digest, a->list[i].age_s);
	return r;
}

int ages_load(int dir_fd, const char *name, const uint8_t boot[static BOOT_ID_SIZE], struct ages **ret_ages)
{
	AUTO_BUF text = BUF_INIT;
	struct ages *a;
	int r = ages_new(boot, &a);

	if (r < 0)
		return r;
	r = file_load_at(dir_fd, name, AGES_FILE_MAX, &text);
	r = r == 0 ? parse(a, &text) : r == -ENOENT || r == -EFBIG ? 0 : r;
	if (r < 0) {
		ages_free(a);
		return r;
	}
	*ret_ages = a;
	return 0;
}

uint64_t ages_of(const struct ages *a, const struct digest *d)
{
	const struct age *age = find(a, d);

	return age ? age->age_s : 0;
}

int ages_keep(struct ages *a, const struct digest *d)
{
	struct age *age = find(a, d);

	if (age) {
		age->is_kept = true;
		return 0;
	}
	return add(a, &(struct age){.digest = *d, .is_kept = true});
}

int ages_put(struct ages *a, const struct digest *d, uint64_t age_s)
{
	struct age *age = find(a, d);

	if (!age)
		return add(a, &(struct age){.digest = *d, .age_s = age_s, .is_kept = true});
	age->age_s = age_s;
	age->is_kept = true;
	return 0;
}

int ages_store(const struct ages *a, int dir_fd, const char *name)
{
	AUTO_BUF text = BUF_INIT;
	char boot[2 * BOOT_ID_SIZE + 1], digest[DIGEST_TEXT_SIZE];

	hex_encode(a->boot, sizeof(a->boot), boot);
	int r = buf_appendf(&text, "boot=%s\nat=%llu\n", boot, (unsigned long long)a->now_s);
	for (size_t i = 0; r == 0 && i < a->len; i++) {
		if (!a->list[i].is_kept)
			continue;
		digest_format(&a->list[i].digest, digest);
		r = buf_appendf(&text, "%s %llu\n", digest, (unsigned long long)a->list[i].age_s);
	}
	return r < 0 ? r : durable_replace_at(dir_fd, name, text.data, text.len, AGES_MODE);
}
