/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk whose power can be cut at any moment: a FUSE file system with a file `disk` in memory, for losetup(8), and a
 * file `mark`.
 *
 *   disk record DIRECTORY TAPE BYTES   write to TAPE, in order, each write to the disk, each flush (fsync), and text
 *                                      written to `mark`
 *   disk replay DIRECTORY TAPE         be the disk after a cut: a line of standard input names the entry of the tape, a
 *                                      line of standard output confirms:
 *
 *       worst N           only flushed writes
 *       prefix N          all writes up to entry N
 *       random N SEED     any 4 KiB blocks of the unflushed writes
 *       ok SUM            the answer; equal sums mean equal surviving blocks
 *
 * N must not decrease. Writes of a mount in between are undone by the next line. It ends with its standard input.
 */

#define FUSE_USE_VERSION 35

/* System */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <inttypes.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/opt.h"

/* Own */
#include "tests/power/tape.h"

enum inode {
	INODE_ROOT = FUSE_ROOT_ID,
	INODE_DISK,
	INODE_MARK,
};

static struct {
	struct state state;
	struct tape tape;
	int tape_fd; /* -1 while replaying */
	struct fuse_session *session;
} disk = {.tape_fd = -1};

__attribute__((noreturn)) static void die(const char *what, int error)
{
	(void)fprintf(stderr, "disk: %s: %s\n", what, strerror(error));
	exit(1);
}

/* A tape with a gap proves nothing. */
static void record(enum tape_kind kind, uint64_t offset, const void *data, size_t len)
{
	int r = disk.tape_fd < 0 ? 0 : tape_append(disk.tape_fd, kind, offset, data, len);
	if (r < 0)
		die("cannot write to the tape", -r);
}

/* ── the file system ── */

static void stat_of(fuse_ino_t ino, struct stat *ret_st)
{
	*ret_st = (struct stat){.st_ino = ino, .st_mode = S_IFREG | 0600, .st_nlink = 1};
	if (ino == INODE_ROOT)
		ret_st->st_mode = S_IFDIR | 0700;
	if (ino == INODE_DISK)
		ret_st->st_size = (off_t)disk.state.image.size;
}

static void on_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.attr_timeout = 3600, .entry_timeout = 3600};

	e.ino = strcmp(name, "disk") == 0 ? INODE_DISK : strcmp(name, "mark") == 0 ? INODE_MARK : 0;
	if (parent != INODE_ROOT || e.ino == 0) {
		(void)fuse_reply_err(req, ENOENT);
		return;
	}
	stat_of(e.ino, &e.attr);
	(void)fuse_reply_entry(req, &e);
}

static void on_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;

	(void)fi;
	stat_of(ino, &st);
	(void)fuse_reply_attr(req, &st, 3600);
}

/*
 * A recording bypasses the page cache, which would change the order of writes. A replay uses the cache, because most
 * blocks do not change between states; on_change() invalidates the others.
 */
static void on_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = ino == INODE_MARK || disk.tape_fd >= 0;
	fi->keep_cache = !fi->direct_io;
	(void)fuse_reply_open(req, fi);
}

static void on_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, struct fuse_file_info *fi)
{
	const struct image *img = &disk.state.image;

	(void)fi;
	if (ino != INODE_DISK || offset < 0 || !image_has(img, (uint64_t)offset, size))
		(void)fuse_reply_buf(req, NULL, 0);
	else
		(void)fuse_reply_buf(req, (const char *)img->bytes + offset, size);
}

static void on_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
		     struct fuse_file_info *fi)
{
	(void)fi;
	if (ino == INODE_MARK) {
		record(TAPE_MARK, 0, data, size);
	} else if (offset < 0 || !image_has(&disk.state.image, (uint64_t)offset, size)) {
		(void)fuse_reply_err(req, ENOSPC);
		return;
	} else {
		image_write(&disk.state.image, (uint64_t)offset, data, size);
		record(TAPE_WRITE, (uint64_t)offset, data, size);
	}
	(void)fuse_reply_write(req, size);
}

static void on_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	(void)datasync;
	(void)fi;
	if (ino == INODE_DISK)
		record(TAPE_FLUSH, 0, NULL, 0);
	(void)fuse_reply_err(req, 0);
}

/* ── replaying ── */

static void on_change(uint64_t offset, uint64_t len)
{
	int r = fuse_lowlevel_notify_inval_inode(disk.session, INODE_DISK, (off_t)offset, (off_t)len);
	if (r < 0 && r != -ENOENT) /* nobody has opened the file yet */
		die("cannot change what the kernel knows of the disk", -r);
}

static void obey(const char *line)
{
	char word[16];
	uint64_t last, seed = 0;
	int n = sscanf(line, "%15s %" SCNu64 " %" SCNu64, word, &last, &seed);
	enum survivors who = strcmp(word, "worst") == 0    ? SURVIVE_NONE
			     : strcmp(word, "prefix") == 0 ? SURVIVE_ALL
							   : SURVIVE_RANDOM;

	if (n < 2 || (who == SURVIVE_RANDOM && (n < 3 || strcmp(word, "random") != 0)) || last >= disk.tape.len)
		die(line, EINVAL);
	uint64_t sum = state_cut(&disk.state, (size_t)last, who, seed);
	if (printf("ok %016" PRIx64 "\n", sum) < 0 || fflush(stdout) != 0)
		die("cannot answer", errno);
}

/* ── FUSE and standard input, in one thread, so that neither waits for the other ── */

/* False: the end. */
static bool serve_file_system(void)
{
	static struct fuse_buf buffer;

	int r = fuse_session_receive_buf(disk.session, &buffer);
	if (r == -EINTR || r == -EAGAIN)
		return true;
	if (r <= 0)
		return false;
	fuse_session_process_buf(disk.session, &buffer);
	return !fuse_session_exited(disk.session);
}

/* Invalidating a page that the kernel waits for would be a deadlock, so serve pending requests first. */
static bool serve_orders(void)
{
	struct pollfd waiting = {.fd = fuse_session_fd(disk.session), .events = POLLIN};
	char line[128];

	if (!fgets(line, sizeof(line), stdin))
		return false;
	while (poll(&waiting, 1, 0) > 0)
		if (!serve_file_system())
			return false;
	obey(line);
	return true;
}

static void serve(void)
{
	struct pollfd fds[] = {{.fd = fuse_session_fd(disk.session), .events = POLLIN},
			       {.fd = STDIN_FILENO, .events = POLLIN}};
	bool going = true;

	while (going) {
		if (poll(fds, 2, -1) < 0 && errno != EINTR)
			die("cannot wait", errno);
		if (fds[0].revents != 0)
			going = serve_file_system();
		if (going && fds[1].revents != 0)
			going = serve_orders();
	}
}

static void mount_and_serve(const char *directory)
{
	static const struct fuse_lowlevel_ops ops = {
	    .lookup = on_lookup,
	    .getattr = on_getattr,
	    .open = on_open,
	    .read = on_read,
	    .write = on_write,
	    .fsync = on_fsync,
	};
	char name[] = "disk";
	char *words[] = {name, NULL};
	struct fuse_args args = FUSE_ARGS_INIT(1, words);

	disk.session = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	if (!disk.session || fuse_session_mount(disk.session, directory) < 0)
		die("cannot mount", errno);
	serve();
	fuse_session_unmount(disk.session);
	fuse_session_destroy(disk.session);
}

static void open_for_recording(const char *path, const char *size)
{
	disk.tape_fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (disk.tape_fd < 0)
		die(path, errno);
	uint64_t bytes;
	int r = opt_parse_number(OPT_BYTES, size, &bytes);
	if (r < 0)
		die(size, -r);
	r = image_init(&disk.state.image, bytes);
	if (r < 0)
		die("cannot make the disk", -r);
	record(TAPE_SIZE, disk.state.image.size, NULL, 0);
}

static void open_for_replay(const char *path)
{
	int r = tape_load(path, &disk.tape);
	if (r < 0)
		die(path, -r);
	r = state_init(&disk.state, &disk.tape, on_change);
	if (r < 0)
		die("cannot make the disk", -r);
}

int main(int argc, char **argv)
{
	if (argc == 5 && strcmp(argv[1], "record") == 0) {
		open_for_recording(argv[3], argv[4]);
	} else if (argc == 4 && strcmp(argv[1], "replay") == 0) {
		open_for_replay(argv[3]);
	} else {
		(void)fputs("usage: disk record DIRECTORY TAPE BYTES | disk replay DIRECTORY TAPE\n", stderr);
		return 64;
	}
	mount_and_serve(argv[2]);
	return 0;
}
