/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/outfile.h"

/* System */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/exit.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/hasher.h"
#include "common/base/lock.h"

/* OCI */
#include "common/oci/descriptor.h"

/* Sluice */
#include "sluice/run/interrupt.h"

#define BLOCK_BYTES   (256u << 10)
#define HIDDEN_DIGITS 32
#define HIDDEN_SIZE   (sizeof(OUTFILE_HIDDEN) + HIDDEN_DIGITS)
#define HIDDEN_MODE   0600 /* until it is whole: nobody else can open it, and so nobody else can lock it */
#define FILE_MODE     0666 /* less the umask */
#define PROBE         "probe"

const char *const outfile_link_names[] = {"auto", "reflink", "copy", "symlink", NULL};

int outfile_blob_path(const struct layout *l, const struct digest *d, struct buf *out)
{
	char hex[DIGEST_TEXT_SIZE];

	digest_format_hex(d, hex);
	return buf_appendf(out, "%s/" LAYOUT_BLOBS "/%s/%s", layout_path(l), hash_name(d->alg), hex);
}

static int fail(int r, struct reason *why)
{
	reason_set(why, "%s", strerror(-r));
	return r == -EISDIR ? EX_CANTCREAT : exit_code_of(r);
}

static int damaged(const struct outfile *o, const char *how, struct reason *why)
{
	AUTO_BUF path = BUF_INIT;

	(void)outfile_blob_path(o->layout, o->digest, &path);
	reason_set(why, "'%s' is damaged: %s", path.data ? path.data : "the blob", how);
	return EX_DATAERR;
}

/* ── the content ── */

static int open_blob(const struct outfile *o, int *ret_fd, uint64_t *ret_size, struct reason *why)
{
	AUTO_FD fd = -1;
	struct stat st;
	char how[96];
	int r = layout_blob_open(o->layout, o->digest, &fd, &st);

	if (r == -ENOENT) {
		reason_set(why, "it is not stored; pull it again");
		return EX_NOINPUT;
	}
	if (r == -EINVAL || r == -ELOOP)
		return damaged(o, "it is not a regular file", why);
	if (r < 0)
		return fail(r, why);
	if (o->size != SIZE_UNKNOWN && o->size != (uint64_t)st.st_size) {
		(void)snprintf(how, sizeof(how), "it has %jd bytes instead of %" PRIu64, (intmax_t)st.st_size, o->size);
		return damaged(o, how, why);
	}
	*ret_size = (uint64_t)st.st_size;
	*ret_fd = take_fd(&fd);
	return 0;
}

static int copy_bytes(const struct outfile *o, int from_fd, int fd, struct hasher *h)
{
	AUTO_FREE char *block = malloc(BLOCK_BYTES);
	uint64_t since_beat = 0;
	size_t len = 0;
	int r = block ? 0 : -ENOMEM;

	do {
		if (r == 0 && interrupt_seen())
			r = -EINTR;
		if (r == 0)
			r = file_read_full(from_fd, block, BLOCK_BYTES, &len);
		if (r == 0 && len > 0) {
			hasher_update(h, block, len);
			r = FAILPOINT(WRITE, "outfile.write", file_write_all(fd, block, len, NULL));
		}
		since_beat += len;
		if (r == 0 && o->beat && since_beat >= OUTFILE_BEAT_BYTES) {
			o->beat(o->self);
			since_beat = 0;
		}
	} while (r == 0 && len == BLOCK_BYTES);
	return r;
}

static int copy(const struct outfile *o, int from_fd, int fd, struct reason *why)
{
	struct hasher *h = NULL;
	struct digest actual;
	int r = hasher_new(o->digest->alg, &h);

	if (r == 0)
		r = copy_bytes(o, from_fd, fd, h);
	if (r == 0)
		digest_of_hasher(h, o->digest->alg, &actual);
	hasher_free(h);
	if (r == -EINTR && interrupt_seen()) {
		reason_set(why, "interrupted");
		return EXIT_INTERRUPTED;
	}
	if (r < 0)
		return fail(r, why);
	return digest_eq(&actual, o->digest) ? 0 : damaged(o, "its bytes do not hash to its name", why);
}

/* What says that the file system, or this pair of them, cannot. */
static bool is_unable(int error)
{
	return error == EOPNOTSUPP || error == EXDEV || error == EINVAL || error == ENOTTY || error == ENOSYS ||
	       error == EPERM || error == ETXTBSY;
}

static int too_large(const struct outfile *o, struct reason *why)
{
	reason_set(why,
		   o->link == OUTFILE_REFLINK
		       ? "it cannot share the blocks of the store here: use --link copy or --link symlink"
		       : "it has more than 1 GiB and cannot share the blocks of the store here: use --link copy or "
			 "--link symlink");
	return EX_USAGE;
}

/* Fill the new file as the order says. */
static int fill(const struct outfile *o, int from_fd, uint64_t size, int fd, enum outfile_link *ret_how,
		struct reason *why)
{
	if (o->link != OUTFILE_COPY) {
		if (FAILPOINT(NAME, "outfile.clone", fs_clone(fd, from_fd)) == 0) {
			*ret_how = OUTFILE_REFLINK;
			return 0;
		}
		if (!is_unable(errno))
			return fail(-errno, why);
		if (o->link == OUTFILE_REFLINK || size > OUTFILE_COPIED_MAX)
			return too_large(o, why);
	}
	*ret_how = OUTFILE_COPY;
	return copy(o, from_fd, fd, why);
}

/* ── the hidden file ── */

/* The same for each attempt at a name, so that none is left for ever. */
static void hidden_name(const char *name, char ret_hidden[static HIDDEN_SIZE])
{
	struct digest d;
	char hex[DIGEST_TEXT_SIZE];

	digest_of(HASH_SHA256, name, strlen(name), &d);
	digest_format_hex(&d, hex);
	(void)snprintf(ret_hidden, HIDDEN_SIZE, OUTFILE_HIDDEN "%.*s", HIDDEN_DIGITS, hex);
}

/* Ours alone, until it is closed. Between its making and its lock another process may have taken it for left behind. */
static int own_hidden(int dir_fd, const char *hidden, int fd)
{
	struct stat st, named;

	if (!lock_change(fd, LOCK_EXCLUSIVE) || fstat(fd, &st) < 0 ||
	    fstatat(dir_fd, hidden, &named, AT_SYMLINK_NOFOLLOW) < 0 || !file_same(&st, &named))
		return -EBUSY;
	return 0;
}

/* Remove what an attempt that died has left. -EBUSY: another process is at it. -EEXIST: it is not ours. */
static int clear_hidden(int dir_fd, const char *hidden)
{
	AUTO_FD fd = -1;
	struct stat st;

	if (fstatat(dir_fd, hidden, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (st.st_uid != geteuid())
		return -EEXIST;
	if (S_ISREG(st.st_mode)) {
		fd = openat(dir_fd, hidden, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
		if (fd < 0)
			return errno == ENOENT ? 0 : -errno;
		int r = own_hidden(dir_fd, hidden, fd);
		if (r < 0)
			return r;
	}
	return FAILPOINT(NAME, "outfile.clear", fs_unlinkat(dir_fd, hidden, 0)) < 0 && errno != ENOENT ? -errno : 0;
}

static int say_not_clear(int r, const char *hidden, struct reason *why)
{
	if (r == -EBUSY) {
		reason_set(why, "another process is writing it; try again when it has ended");
		return EX_TEMPFAIL;
	}
	if (r == -EEXIST) {
		reason_set(why, "another user has put '%s' beside it, in its place; remove that", hidden);
		return EX_CANTCREAT;
	}
	return fail(r, why);
}

static int make_hidden(int dir_fd, const char *hidden, int *ret_fd, struct reason *why)
{
	AUTO_FD fd = -1;
	int r = clear_hidden(dir_fd, hidden);

	if (r < 0)
		return say_not_clear(r, hidden, why);
	r = FAILPOINT(NAME, "outfile.make",
		      file_open_at(dir_fd, hidden, O_RDWR | O_CREAT | O_EXCL, HIDDEN_MODE, &fd, NULL));
	if (r == 0)
		r = own_hidden(dir_fd, hidden, fd);
	if (r < 0) /* -ESTALE: another took it away while it was made */
		return say_not_clear(r == -EEXIST || r == -ESTALE ? -EBUSY : r, hidden, why);
	*ret_fd = take_fd(&fd);
	return 0;
}

static mode_t file_mode(void)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	return FILE_MODE & ~mask;
}

/* Name it, once all of it is on disk. */
static int finish(int dir_fd, const char *hidden, int fd, const char *name, struct reason *why)
{
	int r = FAILPOINT(NAME, "outfile.mode", fs_fchmod(fd, file_mode())) < 0 ? -errno : 0;

	if (r == 0)
		r = FAILPOINT(SYNC, "outfile.sync", durable_sync(fd));
	if (r == 0)
		r = FAILPOINT(NAME, "outfile.rename", durable_rename_at(dir_fd, hidden, name));
	return r < 0 ? fail(r, why) : 0;
}

/* ── all of it ── */

static int put_file(const struct outfile *o, int dir_fd, const char *name, enum outfile_link *ret_how,
		    struct reason *why)
{
	AUTO_FD from_fd = -1, fd = -1;
	char hidden[HIDDEN_SIZE];
	uint64_t size;
	int code = open_blob(o, &from_fd, &size, why);

	hidden_name(name, hidden);
	if (code == 0)
		code = make_hidden(dir_fd, hidden, &fd, why);
	if (code != 0)
		return code;
	code = fill(o, from_fd, size, fd, ret_how, why);
	if (code == 0)
		code = finish(dir_fd, hidden, fd, name, why);
	if (code != 0)
		(void)fs_unlinkat(dir_fd, hidden, 0);
	return code;
}

static int put_link(const struct outfile *o, int dir_fd, const char *name, struct reason *why)
{
	AUTO_BUF path = BUF_INIT;
	AUTO_FD from_fd = -1;
	char hidden[HIDDEN_SIZE];
	uint64_t size;
	int code = open_blob(o, &from_fd, &size, why);

	hidden_name(name, hidden);
	if (code != 0)
		return code;
	int r = outfile_blob_path(o->layout, o->digest, &path);
	if (r == 0)
		r = clear_hidden(dir_fd, hidden);
	if (r < 0)
		return say_not_clear(r, hidden, why);
	if (FAILPOINT(NAME, "outfile.link", fs_symlinkat(path.data, dir_fd, hidden)) < 0)
		return fail(-errno, why);
	r = FAILPOINT(NAME, "outfile.rename-link", durable_rename_at(dir_fd, hidden, name));
	if (r < 0)
		(void)fs_unlinkat(dir_fd, hidden, 0);
	return r < 0 ? fail(r, why) : 0;
}

int outfile_put(const struct outfile *o, int dir_fd, const char *name, enum outfile_link *ret_how, struct reason *why)
{
	enum outfile_link how = OUTFILE_SYMLINK;
	int code = o->link == OUTFILE_SYMLINK ? put_link(o, dir_fd, name, why) : put_file(o, dir_fd, name, &how, why);

	if (code == 0)
		*ret_how = how;
	return code;
}

bool outfile_can_reflink(struct layout *l, const struct digest *d, int dir_fd)
{
	AUTO_FD from_fd = -1, fd = -1;
	char hidden[HIDDEN_SIZE];
	struct reason why;

	hidden_name(PROBE, hidden);
	if (layout_blob_open(l, d, &from_fd, NULL) < 0 || make_hidden(dir_fd, hidden, &fd, &why) != 0)
		return false;
	bool can = fs_clone(fd, from_fd) == 0;
	(void)fs_unlinkat(dir_fd, hidden, 0);
	return can;
}

bool outfile_ignores_case(int dir_fd)
{
	AUTO_FD fd = -1;
	char hidden[HIDDEN_SIZE], upper[HIDDEN_SIZE];
	struct reason why;
	struct stat st;

	hidden_name(PROBE, hidden);
	for (size_t i = 0; i < sizeof(hidden); i++)
		upper[i] = (char)toupper((unsigned char)hidden[i]);
	if (make_hidden(dir_fd, hidden, &fd, &why) != 0)
		return false;
	bool ignores = fstatat(dir_fd, upper, &st, AT_SYMLINK_NOFOLLOW) == 0;
	(void)fs_unlinkat(dir_fd, hidden, 0);
	return ignores;
}
