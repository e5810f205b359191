/* SPDX-License-Identifier: Apache-2.0 */
/* Longer than 500 lines because the parts of a store are made and checked together. */
#include "common/store/layout.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/text.h"

/* OCI */
#include "common/oci/json.h"

#define LAYOUT_TEXT     "{\"imageLayoutVersion\":\"1.0.0\"}"
#define INDEX_TEXT      "{\"schemaVersion\":2,\"mediaType\":\"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}"
#define FORMAT_TEXT     "1\n"
#define LAYOUT_FILE_MAX 4096
#define DIR_MODE        0755
#define FILE_MODE       0644
#define PRIVATE_MODE    0700

struct layout {
	char *path;
	dev_t dev;
	ino_t ino;
	int root;
	int ingest;
	int commit, leases, quarantine;
	int blobs[2]; /* sha256, sha512; opened when they are first needed */
};

static int *blobs_slot(struct layout *l, enum hash_alg alg)
{
	return &l->blobs[alg == HASH_SHA256 ? 0 : 1];
}

static int fail(int r, const char *doing, const char *path, const char *name, struct reason *why)
{
	reason_set(why, "cannot %s '%s%s%s': %s", doing, path, name[0] != '\0' ? "/" : "", name, strerror(-r));
	return r;
}

static int no_store(const char *path, struct reason *why)
{
	reason_set(why, "there is no store in '%s': the first pull creates it; or choose another with --store", path);
	return -ENOENT;
}

/* mkdir -p. Existing directories are fine. */
static int path_make(const char *path)
{
	AUTO_FREE char *copy = strdup(path);
	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; copy[0] != '\0'; p++) {
		char c = *p;
		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (FAILPOINT(NAME, "store.make", fs_mkdir(copy, DIR_MODE)) < 0 && errno != EEXIST)
			return -errno;
		if (c == '\0')
			break;
		*p = c;
	}
	return 0;
}

/*
 * Sync every directory above the store up to the root of its file system: path_make() may have created any of them, now
 * or before a crash. We did not create one that we may not open.
 */
static int ancestors_sync(const struct layout *l)
{
	AUTO_FD fd = -1;
	struct stat here = {.st_dev = l->dev, .st_ino = l->ino}, above;
	for (int from = l->root;; from = fd) {
		int parent = openat(from, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (parent < 0)
			return errno == EACCES ? 0 : -errno;
		(void)close_fd(fd);
		fd = parent;
		if (fstat(fd, &above) < 0)
			return -errno;
		if (above.st_dev != here.st_dev || above.st_ino == here.st_ino)
			return 0;
		int r = FAILPOINT(SYNC, "store.sync-above", durable_sync(fd));
		if (r < 0)
			return r;
		here = above;
	}
}

/*
 * Whether the text is an object with "imageLayoutVersion": "1.…". It is so small that no JSON parser is needed; but if
 * anything follows the object, the file is damaged, and other programs would refuse it.
 */
static bool version_is_ours(const char *text)
{
	static const char key[] = "\"imageLayoutVersion\"", blank[] = " \t\r\n";
	const char *p = strstr(text, key), *end = strrchr(text, '}');
	if (!p || !end || text[strspn(text, blank)] != '{' || end[1 + strspn(end + 1, blank)] != '\0')
		return false;
	p += sizeof key - 1;
	p += strspn(p, blank);
	if (*p != ':')
		return false;
	p++;
	p += strspn(p, blank);
	return strncmp(p, "\"1.", 3) == 0;
}

/* Names that an interrupted creation may have left. A fresh ext4 has a lost+found. */
static bool name_is_ours(const char *name)
{
	static const char *const ours[] = {
	    ".",
	    "..",
	    LAYOUT_FILE,
	    LAYOUT_INDEX,
	    "." LAYOUT_FILE ".new",
	    "." LAYOUT_INDEX ".new",
	    LAYOUT_BLOBS,
	    LAYOUT_INGEST,
	    LAYOUT_COMMIT,
	    LAYOUT_LEASES,
	    LAYOUT_QUARANTINE,
	    LAYOUT_FORMAT,
	    "." LAYOUT_FORMAT ".new",
	    LAYOUT_RUN,
	    "lost+found",
	};
	for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++)
		if (strcmp(name, ours[i]) == 0)
			return true;
	return false;
}

/*
 * Check a directory without an oci-layout file. -EINVAL: it has foreign entries. `ret_entries` is their number in
 * total.
 */
static int unmarked_check(const struct layout *l, size_t *ret_entries, struct reason *why)
{
	AUTO_FD fd = openat(l->root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir)
		return fail(-errno, "read", l->path, "", why);
	(void)take_fd(&fd);
	const struct dirent *e;
	size_t entries = 0;
	while ((errno = 0, e = readdir(dir))) {
		if (!name_is_ours(e->d_name)) {
			reason_set(why, "'%s' is not a store: it holds '%s' and no " LAYOUT_FILE, l->path, e->d_name);
			return -EINVAL;
		}
		entries++;
	}
	if (errno != 0)
		return fail(-errno, "read", l->path, "", why);
	*ret_entries = entries - 2;
	return 0;
}

/* A later version of ours may have changed what files mean. */
static int format_check(const struct layout *l, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	int r = file_load_at(l->root, LAYOUT_FORMAT, LAYOUT_FILE_MAX, &text);
	if (r < 0)
		return r == -ENOENT ? 0 : fail(r == -EFBIG ? -EINVAL : r, "read", l->path, LAYOUT_FORMAT, why);
	struct span number = buf_span(&text);
	uint64_t format;
	if (number.len > 0 && number.data[number.len - 1] == '\n')
		number.len--;
	if (text_number(number, LAYOUT_FORMAT_NOW, &format) == 0 && format > 0)
		return 0;
	reason_set(why,
		   "'%s/" LAYOUT_FORMAT
		   "' says that the store has format '%.*s'; this version of Sluice knows formats up "
		   "to %d: use a later one",
		   l->path, (int)(number.len < 20 ? number.len : 20), (const char *)number.data, LAYOUT_FORMAT_NOW);
	return -EINVAL;
}

/* Whether it is a store, or may become one. `ret_marked`: it has an oci-layout file. */
static int store_check(const struct layout *l, enum layout_role role, bool *ret_marked, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	size_t entries = 0;
	int r = file_load_at(l->root, LAYOUT_FILE, LAYOUT_FILE_MAX, &text);
	*ret_marked = r == 0;
	if (r == 0 && !(text.len > 0 && strlen(text.data) == text.len && version_is_ours(text.data))) {
		reason_set(why, "'%s/" LAYOUT_FILE "' does not declare image layout version 1", l->path);
		return -EINVAL;
	}
	if (r == 0)
		return 0;
	if (r == -EFBIG)
		r = -EINVAL;
	if (r != -ENOENT)
		return fail(r, "read", l->path, LAYOUT_FILE, why);
	r = unmarked_check(l, &entries, why);
	return r == 0 && entries == 0 && role == LAYOUT_READER ? no_store(l->path, why) : r;
}

static int make_dir(const struct layout *l, int dir_fd, const char *name, int *ret_fd, struct reason *why)
{
	int r = durable_mkdir_at(dir_fd, name, DIR_MODE);
	if (r == 0)
		r = dir_open_at(dir_fd, name, false, ret_fd);
	return r < 0 ? fail(r, "create", l->path, name, why) : 0;
}

static int make_blobs(struct layout *l, struct reason *why)
{
	AUTO_FD blobs = -1;
	int r = make_dir(l, l->root, LAYOUT_BLOBS, &blobs, why);
	if (r == 0)
		r = make_dir(l, blobs, hash_name(HASH_SHA256), blobs_slot(l, HASH_SHA256), why);
	if (r == 0)
		r = make_dir(l, blobs, hash_name(HASH_SHA512), blobs_slot(l, HASH_SHA512), why);
	return r;
}

/*
 * The directory in which only commitd can exchange files. It is created closed to others; an existing one that is open,
 * as after a copy of the store, is closed; and one that belongs to another user is refused.
 */
static int make_commit(struct layout *l, struct reason *why)
{
	struct stat st;
	int r = durable_mkdir_at(l->root, LAYOUT_COMMIT, PRIVATE_MODE);
	if (r == 0)
		r = dir_open_at(l->root, LAYOUT_COMMIT, false, &l->commit);
	if (r == 0 && fstat(l->commit, &st) < 0)
		r = -errno;
	if (r < 0)
		return fail(r, "create", l->path, LAYOUT_COMMIT, why);
	if (st.st_uid != geteuid() && geteuid() != 0) {
		reason_set(why,
			   "'%s/" LAYOUT_COMMIT "' belongs to another user: remove it, or serve the store as its owner",
			   l->path);
		return -EPERM;
	}
	if ((st.st_mode & 07777 & ~(mode_t)S_ISGID) != PRIVATE_MODE && fs_fchmod(l->commit, PRIVATE_MODE) < 0)
		return fail(-errno, "restrict access to", l->path, LAYOUT_COMMIT, why);
	return 0;
}

static int make_file(const struct layout *l, const char *name, const char *text, struct reason *why)
{
	struct stat st;
	if (fstatat(l->root, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	int r = durable_replace_at(l->root, name, text, strlen(text), FILE_MODE);
	return r < 0 ? fail(r, "create", l->path, name, why) : 0;
}

/* The oci-layout file comes last: while it is missing, everything before it is done again. */
static int store_make(struct layout *l, enum layout_role role, bool marked, struct reason *why)
{
	if (!marked) {
		int r = ancestors_sync(l);
		if (r < 0)
			return fail(r, "sync the directories above", l->path, "", why);
	}
	if (role == LAYOUT_INGESTER)
		return make_dir(l, l->root, LAYOUT_INGEST, &l->ingest, why);
	int r = make_blobs(l, why);
	if (r == 0)
		r = make_commit(l, why);
	if (r == 0)
		r = make_dir(l, l->root, LAYOUT_LEASES, &l->leases, why);
	if (r == 0)
		r = make_dir(l, l->root, LAYOUT_QUARANTINE, &l->quarantine, why);
	if (r == 0)
		r = make_file(l, LAYOUT_FORMAT, FORMAT_TEXT, why);
	if (r == 0)
		r = make_file(l, LAYOUT_INDEX, INDEX_TEXT, why);
	if (r == 0)
		r = make_file(l, LAYOUT_FILE, LAYOUT_TEXT, why);
	return r;
}

static int mount_of(int fd, uint64_t *ret_mount)
{
	struct statx st;
	if (statx(fd, "", AT_EMPTY_PATH, STATX_MNT_ID, &st) < 0)
		return -errno;
	*ret_mount = st.stx_mask & STATX_MNT_ID ? st.stx_mnt_id : (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	return 0;
}

/*
 * Renames need one mount, not only one file system. Whichever of ingestd and commitd starts second sees both
 * directories.
 */
static int mount_check(struct layout *l, int fd, const char *name, struct reason *why)
{
	uint64_t ingest, other;
	if (l->ingest < 0 || fd < 0)
		return 0;
	int r = mount_of(l->ingest, &ingest);
	if (r == 0)
		r = mount_of(fd, &other);
	if (r < 0)
		return fail(r, "look at", l->path, "", why);
	if (ingest == other)
		return 0;
	reason_set(why, "'%s/" LAYOUT_INGEST "' and '%s/%s' are on different mounts", l->path, l->path, name);
	return -EXDEV;
}

static int root_open(struct layout *l, const char *path, enum layout_role role, struct reason *why)
{
	struct stat st;
	l->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (l->root < 0 && errno == ENOENT && role != LAYOUT_READER) {
		int r = path_make(path);
		if (r < 0)
			return fail(r, "create", path, "", why);
		l->root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	if (l->root < 0 && errno == ENOENT)
		return no_store(path, why);
	if (l->root < 0 || fstat(l->root, &st) < 0)
		return fail(errno == ENOTDIR ? -EINVAL : -errno, "open", path, "", why);
	l->dev = st.st_dev;
	l->ino = st.st_ino;
	l->path = realpath(path, NULL);
	return l->path ? 0 : fail(-errno, "open", path, "", why);
}

int layout_check_mounts(struct layout *l, struct reason *why)
{
	int r = mount_check(l, layout_blobs_fd(l, HASH_SHA256), LAYOUT_BLOBS "/sha256", why);
	if (r == 0)
		r = mount_check(l, layout_blobs_fd(l, HASH_SHA512), LAYOUT_BLOBS "/sha512", why);
	return r < 0 ? r : mount_check(l, l->commit, LAYOUT_COMMIT, why);
}

static int layout_prepare(struct layout *l, const char *path, enum layout_role role, struct reason *why)
{
	bool marked = false;
	int r = root_open(l, path, role, why);
	if (r == 0)
		r = store_check(l, role, &marked, why);
	if (r == 0)
		r = format_check(l, why);
	if (r == 0 && role != LAYOUT_READER)
		r = store_make(l, role, marked, why);
	if (r < 0)
		return r;
	if (l->ingest < 0) {
		r = dir_open_at(l->root, LAYOUT_INGEST, false, &l->ingest);
		if (r < 0 && r != -ENOENT)
			return fail(r, "open", l->path, LAYOUT_INGEST, why);
	}
	return role == LAYOUT_READER ? 0 : layout_check_mounts(l, why);
}

int layout_open(const char *path, enum layout_role role, struct layout **ret_layout, struct reason *why)
{
	struct layout *l = malloc(sizeof *l);
	if (!l)
		return fail(-ENOMEM, "open", path, "", why);
	*l = (struct layout){.root = -1, .ingest = -1, .commit = -1, .leases = -1, .quarantine = -1, .blobs = {-1, -1}};
	int r = layout_prepare(l, path, role, why);
	if (r < 0) {
		layout_free(l);
		return r;
	}
	*ret_layout = l;
	return 0;
}

void layout_free(struct layout *l)
{
	if (!l)
		return;
	(void)close_fd(l->blobs[0]);
	(void)close_fd(l->blobs[1]);
	(void)close_fd(l->ingest);
	(void)close_fd(l->commit);
	(void)close_fd(l->leases);
	(void)close_fd(l->quarantine);
	(void)close_fd(l->root);
	free(l->path);
	free(l);
}

const char *layout_path(const struct layout *l)
{
	return l->path;
}

struct reason layout_blob_path(const struct layout *l, const struct digest *d)
{
	char hex[DIGEST_TEXT_SIZE];
	struct reason path;
	digest_format_hex(d, hex);
	reason_set(&path, "%s/" LAYOUT_BLOBS "/%s/%s", l->path, hash_name(d->alg), hex);
	return path;
}

int layout_root_fd(const struct layout *l)
{
	return l->root;
}

int layout_commit_fd(const struct layout *l)
{
	return l->commit;
}

int layout_leases_fd(const struct layout *l)
{
	return l->leases;
}

int layout_quarantine_fd(const struct layout *l)
{
	return l->quarantine;
}

int layout_ingest_fd(const struct layout *l)
{
	return l->ingest;
}

int layout_blobs_fd(struct layout *l, enum hash_alg alg)
{
	int *slot = blobs_slot(l, alg);
	if (*slot >= 0)
		return *slot;
	AUTO_FD blobs = -1;
	if (dir_open_at(l->root, LAYOUT_BLOBS, false, &blobs) == 0)
		(void)dir_open_at(blobs, hash_name(alg), false, slot);
	return *slot;
}

void layout_identity(const struct layout *l, uint64_t *ret_dev, uint64_t *ret_ino)
{
	*ret_dev = l->dev;
	*ret_ino = l->ino;
}

void layout_ingest_id(struct span ref, char ret_id[static INGEST_ID_SIZE])
{
	uint8_t bytes[HASH_MAX_BYTES];
	hash_bytes(HASH_SHA256, ref.data, ref.len, bytes);
	hex_encode(bytes, hash_size(HASH_SHA256), ret_id);
}

int layout_blob_open(struct layout *l, const struct digest *d, int *ret_fd, struct stat *ret_st)
{
	char name[DIGEST_TEXT_SIZE];
	int fd = layout_blobs_fd(l, d->alg);
	if (fd < 0)
		return -ENOENT;
	digest_format_hex(d, name);
	return file_open_read_at(fd, name, ret_fd, ret_st);
}

int layout_document_load(struct layout *l, const struct digest *d, struct buf *out, struct reason *why)
{
	char text[DIGEST_TEXT_SIZE], hex[DIGEST_TEXT_SIZE];
	struct digest actual;
	size_t before = out->len;
	int fd = layout_blobs_fd(l, d->alg);
	digest_format(d, text);
	digest_format_hex(d, hex);
	int r = fd < 0 ? -ENOENT : file_load_at(fd, hex, JSON_DOCUMENT_MAX, out);
	if (r == 0) {
		digest_of(d->alg, out->data + before, out->len - before, &actual);
		if (digest_eq(&actual, d))
			return 0;
		out->len = before;
		reason_set(why, "'%s' is damaged: its bytes do not hash to its name", layout_blob_path(l, d).text);
		return -EBADMSG;
	}
	if (r == -ENOENT)
		reason_set(why, "'%s' is not stored", text);
	else if (r == -EFBIG)
		reason_set(why, "'%s' has more than %u bytes, too many for a manifest", text, JSON_DOCUMENT_MAX);
	else
		reason_set(why, "cannot read '%s': %s", text, strerror(-r));
	return r;
}

int layout_blob_size(struct layout *l, const struct digest *d, uint64_t *ret_size)
{
	char name[DIGEST_TEXT_SIZE];
	struct stat st;
	int fd = layout_blobs_fd(l, d->alg);
	if (fd < 0)
		return -ENOENT;
	digest_format_hex(d, name);
	if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return S_ISLNK(st.st_mode) ? -ELOOP : -EINVAL;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}
