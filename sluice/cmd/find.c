/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/find.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/log.h"

/* Store */
#include "common/store/inventory.h"

#define CANDIDATES_SHOWN 3 /* they fit into a reason */
#define CANDIDATES_MAX   4
#define HEX              "0123456789abcdef"

int find_exit_code(int r)
{
	return r == -ENOTUNIQ || r == -EILSEQ ? EX_USAGE : r == -EINVAL || r == -EFBIG ? EX_DATAERR : exit_code_of(r);
}

/* The digits after "sha256:" or "sha512:", or the text itself. */
static const char *digits_of(const char *text, size_t *ret_max)
{
	static const enum hash_alg algs[] = {HASH_SHA256, HASH_SHA512};

	*ret_max = 2 * HASH_MAX_BYTES;
	for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++) {
		const char *name = hash_name(algs[i]);
		size_t len = strlen(name);
		if (strncmp(text, name, len) != 0 || text[len] != ':')
			continue;
		*ret_max = 2 * hash_size(algs[i]);
		return text + len + 1;
	}
	return text;
}

bool find_is_digits(const char *text)
{
	size_t max;
	const char *digits = digits_of(text, &max);
	size_t len = strlen(digits);

	return len >= FIND_DIGITS_MIN && len <= max && strspn(digits, HEX) == len;
}

bool find_digits_fit(const char *digits, const char *digest)
{
	size_t max;
	const char *from = digits_of(digits, &max) == digits ? digits_of(digest, &max) : digest;

	return strncmp(digits, from, strlen(digits)) == 0;
}

/* The digests that fit. */
struct candidates {
	const char *digits;
	struct digest list[CANDIDATES_MAX];
	size_t len; /* of the distinct ones; those over CANDIDATES_MAX are only counted */
};

static int consider(void *self, const struct digest *d)
{
	struct candidates *c = self;
	char text[DIGEST_TEXT_SIZE];

	digest_format(d, text);
	if (!find_digits_fit(c->digits, text))
		return 0;
	for (size_t i = 0; i < c->len && i < CANDIDATES_MAX; i++)
		if (digest_eq(&c->list[i], d))
			return 0;
	if (c->len < CANDIDATES_MAX)
		c->list[c->len] = *d;
	c->len++;
	return 0;
}

/* The entries of the index come first, so that the list is the same each time. */
static int gather(struct layout *l, const struct names *n, enum find_where where, struct candidates *c)
{
	struct descriptor d;
	const char *name;

	for (size_t i = 0; n && i < names_len(n); i++)
		if (names_at(n, i, &name, &d) == 0)
			(void)consider(c, &d.digest);
	return where == FIND_CONTENT ? inventory_each(l, consider, c) : 0;
}

static int say_candidates(const struct candidates *c, struct reason *why)
{
	char text[DIGEST_TEXT_SIZE];
	size_t shown = c->len < CANDIDATES_SHOWN ? c->len : CANDIDATES_SHOWN;

	reason_set(why, "these digits fit several digests:");
	for (size_t i = 0; i < shown; i++) {
		digest_format(&c->list[i], text);
		reason_set(why, "%s%s %s", why->text, i > 0 ? "," : "", text);
	}
	if (shown < c->len)
		reason_set(why, "%s, and more", why->text);
	return -ENOTUNIQ;
}

static void take_entry(const struct names *n, size_t i, struct found *f)
{
	f->entry = i;
	(void)names_at(n, i, &f->name, &f->descriptor);
}

static void take_digest(const struct names *n, const struct digest *d, struct found *f)
{
	struct descriptor entry;
	const char *name;

	f->by_name = false;
	f->descriptor = (struct descriptor){.digest = *d, .size = SIZE_UNKNOWN};
	for (size_t i = 0; n && i < names_len(n); i++) {
		if (names_at(n, i, &name, &entry) == 0 && digest_eq(&entry.digest, d)) {
			take_entry(n, i, f);
			return;
		}
	}
}

static bool find_name(const struct names *n, const char *text, struct found *f)
{
	struct descriptor d;
	const char *name;

	if (!n || names_find(n, text, &d) < 0)
		return false;
	for (size_t i = 0; i < names_len(n); i++) {
		if (names_at(n, i, &name, &d) < 0 || !name || strcmp(name, text) != 0)
			continue;
		f->by_name = true;
		take_entry(n, i, f);
		return true;
	}
	return false;
}

static bool find_reference(const struct names *n, const char *text, struct found *f)
{
	struct reference reference;
	char full[REFERENCE_TEXT_SIZE];

	if (reference_parse(span_str(text), &reference, NULL) < 0)
		return false;
	reference_format(&reference, full);
	return find_name(n, full, f);
}

/* Of a whole digest, or of the beginning of one. */
static int find_by_digest(struct layout *l, const struct names *n, const char *text, enum find_where where,
			  struct found *f, struct reason *why)
{
	struct candidates c = {.digits = text};
	struct digest whole;
	bool is_whole = digest_parse(span_str(text), &whole, NULL) == 0;
	int r = is_whole && where == FIND_CONTENT ? consider(&c, &whole) : gather(l, n, where, &c);

	if (r < 0) {
		reason_set(why, "cannot read '%s/" LAYOUT_BLOBS "': %s", layout_path(l), strerror(-r));
		return r;
	}
	if (c.len > 1)
		return say_candidates(&c, why);
	if (c.len == 1) {
		take_digest(n, &c.list[0], f);
		return 0;
	}
	reason_set(why, where == FIND_CONTENT ? "it is not stored" : "nothing that has this digest has a name");
	return -ENOENT;
}

/* Neither a name, nor a digest or the beginning of one. */
static int is_neither(const char *text, struct reason *why)
{
	size_t max;

	if (digits_of(text, &max) == text) {
		reason_set(why, "nothing has that name");
		return -ENOENT;
	}
	reason_set(why, "after the colon, at least %d digits of a digest are needed, and at most %zu, of 0-9 and a-f",
		   FIND_DIGITS_MIN, max);
	return -EILSEQ;
}

int find(struct layout *l, const struct names *n, const char *text, enum find_where where, struct found *ret_found,
	 struct reason *why)
{
	struct found f = {.entry = SIZE_MAX};
	struct digest digest;
	int r = 0;

	if (!find_name(n, text, &f) && !find_reference(n, text, &f)) {
		if (!find_is_digits(text) && digest_parse(span_str(text), &digest, NULL) < 0)
			return is_neither(text, why);
		r = find_by_digest(l, n, text, where, &f, why);
	}
	if (r == 0)
		*ret_found = f;
	return r;
}

int find_open(const char *path, struct layout **ret_layout, struct names **ret_names)
{
	struct layout *l;
	struct reason why;
	int r = layout_open(path, LAYOUT_READER, &l, &why);

	if (r < 0) {
		log_error("%s", why.text);
		return exit_code_of(r);
	}
	r = names_load(l, ret_names, &why);
	if (r < 0) {
		log_error("%s", why.text);
		layout_free(l);
		return r == -EINVAL || r == -EFBIG ? EX_DATAERR : exit_code_of(r);
	}
	*ret_layout = l;
	return 0;
}
