/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/names.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/array.h"
#include "common/base/file.h"

/* OCI */
#include "common/oci/json_cut.h"

#define NAME_KEY    "org.opencontainers.image.ref.name"
#define EMPTY_INDEX "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_TYPE_OCI_INDEX "\",\"manifests\":[]}"

/* An element of `manifests`: where it is in the text, without blanks, and its name. */
struct entry {
	uint32_t at, len;
	uint32_t hash;  /* of the name, so that a search reads few names; 0: it has no name */
	char *name;     /* owned; NULL: it has none */
	char *left_out; /* owned; the value of NAMES_LEFT_OUT_KEY, or NULL */
};

/* What tells one state of a file from another; all 0: the file does not exist, or we do not know. */
struct stamp {
	uint64_t dev, ino, size, mtime_ns, ctime_ns;
};

struct names {
	struct buf text; /* the document, at most NAMES_INDEX_MAX bytes */
	size_t list;     /* the offset of the list's bracket */
	struct entry *entries;
	size_t len, room;
	struct stamp stamp; /* of the file when it had this text */
	bool is_known;      /* `stamp` is known */
};

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){
	    .dev = st->st_dev,
	    .ino = st->st_ino,
	    .size = (uint64_t)st->st_size,
	    .mtime_ns = file_mtime_ns(st),
	    .ctime_ns = (uint64_t)st->st_ctim.tv_sec * UINT64_C(1000000000) + (uint64_t)st->st_ctim.tv_nsec,
	};
}

static bool stamp_eq(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size && a->mtime_ns == b->mtime_ns &&
	       a->ctime_ns == b->ctime_ns;
}

/* FNV-1a, but never 0. Whoever makes names collide makes a search parse no entry more, only compare names. */
static uint32_t hash_of(const char *name)
{
	uint32_t hash = 2166136261u;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	return hash ? hash : 1;
}

static int no_memory(struct reason *why)
{
	reason_set(why, "out of memory");
	return -ENOMEM;
}

static struct span entry_text(const struct names *n, const struct entry *e)
{
	return span_of(n->text.data + e->at, e->len);
}

static const char *annotation(const struct json_t *entry, const char *key)
{
	return json_member_text(json_member(entry, "annotations"), key);
}

static void entry_release(struct entry *e)
{
	free(e->name);
	free(e->left_out);
}

/* Only after 0 is there something to release. */
static int entry_init(struct entry *e, size_t at, size_t len, const struct json_t *value)
{
	const char *name = annotation(value, NAME_KEY), *left_out = annotation(value, NAMES_LEFT_OUT_KEY);
	*e = (struct entry){
	    .at = (uint32_t)at,
	    .len = (uint32_t)len,
	    .hash = name ? hash_of(name) : 0,
	    .name = name ? strdup(name) : NULL,
	    .left_out = left_out ? strdup(left_out) : NULL,
	};
	if ((!name || e->name) && (!left_out || e->left_out))
		return 0;
	entry_release(e);
	return -ENOMEM;
}

static int entries_room(struct names *n)
{
	struct entry *entries = array_room(n->entries, n->len, &n->room, sizeof(*entries));
	if (!entries)
		return -ENOMEM;
	n->entries = entries;
	return 0;
}

static int entry_load(struct names *n, struct span text)
{
	AUTO_JSON value = NULL;
	int r = json_parse_long(text, NAMES_INDEX_MAX, &value, NULL);
	if (r == 0)
		r = entries_room(n);
	if (r == 0)
		r = entry_init(&n->entries[n->len], (size_t)(text.data - (const uint8_t *)n->text.data), text.len,
			       value);
	n->len += r == 0;
	return r;
}

/* Find the entries of the list at `n->list`, and where it ends. -EINVAL: it is not a list, or they are not JSON. */
static int entries_load(struct names *n, struct span list)
{
	struct span element;
	size_t at = 0;
	int r;
	while ((r = json_cut_element(list, &at, &element)) > 0) {
		r = entry_load(n, element);
		if (r < 0)
			return r;
	}
	return r;
}

/* Check the document without its entries. -EINVAL: it is not JSON, or not an index. */
static int frame_check(const struct names *n, struct span list)
{
	AUTO_BUF frame = BUF_INIT;
	AUTO_JSON root = NULL;
	uint64_t version;
	size_t end = n->list + list.len;
	int r = buf_append(&frame, n->text.data, n->list);
	if (r == 0)
		r = buf_append_str(&frame, "[]");
	if (r == 0)
		r = buf_append(&frame, n->text.data + end, n->text.len - end);
	if (r == 0)
		r = json_parse_long(buf_span(&frame), NAMES_INDEX_MAX + 2, &root, NULL);
	if (r < 0)
		return r;
	return json_member_u64(root, "schemaVersion", &version) && version == 2 ? 0 : -EINVAL;
}

/* Say why the text is not an index. This parses it as a whole, so it knows line and column. */
static int refuse(const struct names *n, const char *path, struct reason *why)
{
	AUTO_JSON root = NULL;
	struct reason detail = {{0}};
	int r = json_parse_long(buf_span(&n->text), NAMES_INDEX_MAX, &root, &detail);
	const struct json_t *list = json_member(root, "manifests");
	if (r < 0)
		reason_set(why, "'%s/" LAYOUT_INDEX "': %s", path, detail.text);
	else if (list && !json_is_array(list) && !json_is_nothing(list))
		reason_set(why, "the manifests of '%s/" LAYOUT_INDEX "' are not a list", path);
	else
		reason_set(why, "'%s/" LAYOUT_INDEX "' is not an index", path);
	return r == -ENOMEM ? r : -EINVAL;
}

/* Replace `len` bytes at `at`; what is behind them moves along. */
static int text_splice(struct names *n, size_t at, size_t len, struct span with)
{
	size_t behind = at + len;
	int r = with.len > len ? buf_reserve(&n->text, with.len - len) : 0;
	if (r < 0)
		return r;
	memmove(n->text.data + at + with.len, n->text.data + behind, n->text.len - behind + 1);
	if (with.len > 0)
		memcpy(n->text.data + at, with.data, with.len);
	n->text.len = n->text.len - len + with.len;
	for (size_t i = 0; i < n->len; i++)
		if (n->entries[i].at >= behind)
			n->entries[i].at = (uint32_t)(n->entries[i].at - len + with.len);
	return 0;
}

/* Find the parts of the document. */
static int text_parse(struct names *n, const char *path, struct reason *why)
{
	struct span list;
	int r = json_cut_member(buf_span(&n->text), "manifests", &list);
	if (r == 0) {
		n->list = (size_t)(list.data - (const uint8_t *)n->text.data);
		r = frame_check(n, list);
	}
	/* Go programs write an empty list as null. */
	if (r == 0 && span_eq(list, span_str("null")))
		r = text_splice(n, n->list, list.len, span_str("[]"));
	else if (r == 0)
		r = entries_load(n, list);
	return r == -ENOMEM ? no_memory(why) : r < 0 ? refuse(n, path, why) : 0;
}

/* Read the text and the file's stamp. The stamp is older: if the file is written meanwhile, it has another by then. */
static int text_load(struct layout *l, struct names *n, struct reason *why)
{
	struct stat st;
	int r = file_load_stat_at(layout_root_fd(l), LAYOUT_INDEX, NAMES_INDEX_MAX, &n->text, &st);
	n->is_known = true;
	if (r == -ENOENT)
		return buf_append_str(&n->text, EMPTY_INDEX) < 0 ? no_memory(why) : 0;
	if (r == 0)
		n->stamp = stamp_of(&st);
	else if (r == -EFBIG)
		reason_set(why,
			   "'%s/" LAYOUT_INDEX
			   "' is longer than %u bytes: another program wrote it and must remove names",
			   layout_path(l), NAMES_INDEX_MAX);
	else
		reason_set(why, "cannot read '%s/" LAYOUT_INDEX "': %s", layout_path(l), strerror(-r));
	return r;
}

int names_load(struct layout *l, struct names **ret_names, struct reason *why)
{
	struct names *n = calloc(1, sizeof *n);
	if (!n)
		return no_memory(why);
	int r = text_load(l, n, why);
	if (r == 0)
		r = text_parse(n, layout_path(l), why);
	if (r < 0) {
		names_free(n);
		return r;
	}
	*ret_names = n;
	return 0;
}

void names_free(struct names *n)
{
	if (!n)
		return;
	for (size_t i = 0; i < n->len; i++)
		entry_release(&n->entries[i]);
	free(n->entries);
	buf_release(&n->text);
	free(n);
}

static int stamp_now(struct layout *l, struct stamp *ret_stamp)
{
	struct stat st;
	if (fstatat(layout_root_fd(l), LAYOUT_INDEX, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	*ret_stamp = stamp_of(&st);
	return 0;
}

bool names_are_current(const struct names *n, struct layout *l)
{
	struct stamp now = {0};
	int r = stamp_now(l, &now);
	return n->is_known && (r == 0 || r == -ENOENT) && stamp_eq(&now, &n->stamp);
}

void names_written(struct names *n, struct layout *l, const struct stat *written)
{
	const struct stamp was = stamp_of(written);
	/* The rename itself changes the time of the last change of status, and nothing else. */
	n->is_known = stamp_now(l, &n->stamp) == 0 && n->stamp.dev == was.dev && n->stamp.ino == was.ino &&
		      n->stamp.size == was.size && n->stamp.mtime_ns == was.mtime_ns;
}

size_t names_len(const struct names *n)
{
	return n->len;
}

/* The value of an entry; the caller owns it. NULL: out of memory, for it was parsed before. */
static struct json_t *entry_parse(const struct names *n, const struct entry *e)
{
	struct json_t *value = NULL;
	(void)json_parse_long(entry_text(n, e), NAMES_INDEX_MAX, &value, NULL);
	return value;
}

static int entry_descriptor(const struct names *n, const struct entry *e, struct descriptor *ret_descriptor)
{
	AUTO_JSON value = entry_parse(n, e);
	return value ? descriptor_parse(value, ret_descriptor, NULL) : -ENOMEM;
}

int names_at(const struct names *n, size_t i, const char **ret_name, struct descriptor *ret_descriptor)
{
	int r = i < n->len ? entry_descriptor(n, &n->entries[i], ret_descriptor) : -EINVAL;
	if (r == 0)
		*ret_name = n->entries[i].name;
	return r;
}

bool names_lists(const char *left_out, const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(d, text);
	const char *at = strstr(left_out, text);
	return at && (at[strlen(text)] == '\0' || at[strlen(text)] == ',');
}

const char *names_left_out(const struct names *n, size_t i)
{
	return n->entries[i].left_out ? n->entries[i].left_out : "";
}

/* The first entry from the i-th on that has the name, or names_len(). */
static size_t search(const struct names *n, size_t i, const char *name)
{
	uint32_t hash = hash_of(name);
	while (i < n->len && (n->entries[i].hash != hash || strcmp(n->entries[i].name, name) != 0))
		i++;
	return i;
}

int names_find(const struct names *n, const char *name, struct descriptor *ret_descriptor)
{
	size_t i = search(n, 0, name);
	return i < n->len ? entry_descriptor(n, &n->entries[i], ret_descriptor) : -ENOENT;
}

/* Remove an entry, and the comma between it and one beside it. Shortening cannot fail. */
static void entry_remove(struct names *n, size_t i)
{
	size_t begin = n->entries[i].at, end = begin + n->entries[i].len;
	if (i > 0)
		begin = n->entries[i - 1].at + n->entries[i - 1].len;
	else if (n->len > 1)
		end = n->entries[1].at;
	entry_release(&n->entries[i]);
	n->len--;
	memmove(&n->entries[i], &n->entries[i + 1], (n->len - i) * sizeof(n->entries[0]));
	(void)text_splice(n, begin, end - begin, span_str(NULL));
}

/* Remove those of the first `len` entries that have the name. Returns their number. */
static size_t name_take_away(struct names *n, const char *name, size_t len)
{
	size_t removed = 0;
	for (size_t i = 0; (i = search(n, i, name)) + removed < len; removed++)
		entry_remove(n, i);
	return removed;
}

static bool entry_is(const struct names *n, const struct entry *e, const struct descriptor *want, const char *left_out)
{
	struct descriptor d;
	return entry_descriptor(n, e, &d) == 0 && digest_eq(&d.digest, &want->digest) && d.size == want->size &&
	       strcmp(d.media_type, want->media_type) == 0 && strcmp(e->left_out ? e->left_out : "", left_out) == 0;
}

/* Whether exactly one entry has the name, and describes the content as wanted. */
static bool name_is_set(const struct names *n, const char *name, const struct descriptor *want, const char *left_out)
{
	size_t i = search(n, 0, name);
	return i < n->len && search(n, i + 1, name) == n->len && entry_is(n, &n->entries[i], want, left_out);
}

static struct json_t *entry_make(const char *name, const struct descriptor *d, const char *left_out)
{
	struct json_t *entry = descriptor_to_json(d);
	struct json_t *annotations = json_object_make();
	if (!entry) {
		json_free(annotations);
		return NULL;
	}
	int r = json_set(entry, "annotations", annotations);
	if (r == 0)
		r = json_set_text(annotations, NAME_KEY, name);
	if (r == 0 && left_out[0] != '\0')
		r = json_set_text(annotations, NAMES_LEFT_OUT_KEY, left_out);
	if (r == 0)
		return entry;
	json_free(entry);
	return NULL;
}

/* How much shorter the text is at least without the entries of this name, once another entry follows them. */
static size_t bytes_of(const struct names *n, const char *name)
{
	size_t sum = 0;
	for (size_t i = 0; (i = search(n, i, name)) < n->len; i++)
		sum += n->entries[i].len + 1;
	return sum;
}

/* Append an entry to the list: behind the last one, before any blanks. */
static int entry_append(struct names *n, const struct json_t *value, size_t freed)
{
	AUTO_BUF text = BUF_INIT;
	struct entry e;
	bool is_first = n->len == 0;
	const struct entry *last = is_first ? NULL : &n->entries[n->len - 1];
	size_t at = last ? last->at + last->len : n->list + 1;
	int r = buf_append_str(&text, last ? "," : "");
	if (r == 0)
		r = json_format(value, &text);
	if (r == 0)
		r = entries_room(n);
	if (r == 0 && n->text.len - freed + text.len > NAMES_INDEX_MAX)
		r = -EFBIG;
	if (r < 0)
		return r;
	r = entry_init(&e, at + !is_first, text.len - !is_first, value);
	if (r < 0)
		return r;
	r = text_splice(n, at, 0, buf_span(&text));
	if (r < 0) {
		entry_release(&e);
		return r;
	}
	n->entries[n->len++] = e;
	return 0;
}

int names_set(struct names *n, const char *name, const struct descriptor *d, const char *left_out)
{
	left_out = left_out ? left_out : "";
	if (name_is_set(n, name, d, left_out))
		return 0;
	AUTO_JSON entry = entry_make(name, d, left_out);
	size_t before = n->len;
	int r = entry ? entry_append(n, entry, bytes_of(n, name)) : -ENOMEM;
	if (r == 0)
		(void)name_take_away(n, name, before);
	return r;
}

int names_remove(struct names *n, const char *name)
{
	return name_take_away(n, name, n->len) > 0 ? 0 : -ENOENT;
}

struct span names_text(const struct names *n)
{
	return buf_span(&n->text);
}
