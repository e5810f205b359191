/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/stage.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/lock.h"
#include "common/base/opt.h"
#include "common/base/process.h"
#include "common/base/random.h"
#include "common/base/version.h"

#define DIR_MODE       0700
#define HOLDER_MODE    0644
#define PID_DIGITS_MAX 10
#define CLAIM_TRIES    100 /* directories that are removed under us are created again */
#define PLACES_MAX     4

/* A stage's directories (its own first) and sockets in the runtime directory. */
static const struct stage_row {
	const char *name; /* also of its directory */
	const char *data_dir;
	const char *sockets[PLACES_MAX];
} stages[] = {
    [STAGE_FETCHD] = {"fetchd", NULL, {NULL}},
    [STAGE_INGESTD] = {"ingestd",
		       STAGE_FETCH_DIR,
		       {"ingestd/" STAGE_CTL, STAGE_FETCH_DIR "/orders", STAGE_FETCH_DIR "/chunks"}},
    [STAGE_COMMITD] = {"commitd",
		       STAGE_SEAL_DIR,
		       {"commitd/" STAGE_CTL, STAGE_SEAL_DIR "/seals", STAGE_SEAL_DIR "/receipts"}},
};

/* The longest of these paths fits after the longest runtime directory. */
#define LONGEST "/" STAGE_SEAL_DIR "/receipts"
_Static_assert(RUNTIME_DIR_MAX + sizeof(LONGEST) <= sizeof(((struct sockaddr_un *)0)->sun_path),
	       "no room for a socket");

const char *stage_name(enum stage_id stage)
{
	return stages[stage].name;
}

void stage_self_init(struct stage_self *self, enum stage_id stage)
{
	*self = (struct stage_self){.stage = stage, .started_s = clock_wall_s()};
	while (self->incarnation == 0)
		self->incarnation = random_u64();
}

void stage_introduce(struct message *m)
{
	m->lowest = WIRE_TALK_MIN;
	m->highest = WIRE_VERSION;
	m->version = span_str(SLUICE_VERSION);
}

/* "2", "2 to 4" */
static const char *range_text(unsigned lowest, unsigned highest, struct reason *out)
{
	if (lowest == highest)
		reason_set(out, "%u", lowest);
	else
		reason_set(out, "%u to %u", lowest, highest);
	return out->text;
}

enum stage_talk stage_talk_of(const struct message *m, const char *theirs, const char *ours, struct reason *ret_words)
{
	/* Messages of the first version do not have these fields. */
	unsigned lowest = m->highest ? m->lowest : m->protocol, highest = m->highest ? m->highest : m->protocol;
	struct reason their_range, our_range;

	if (lowest == WIRE_TALK_MIN && highest == WIRE_VERSION)
		return TALK_SAME;
	reason_set(ret_words, "%s%s%.*s speaks protocol %s, %s " SLUICE_VERSION " speaks %s", theirs,
		   m->version.len > 0 ? " " : "", SPAN_ARG(m->version), range_text(lowest, highest, &their_range), ours,
		   range_text(WIRE_TALK_MIN, WIRE_VERSION, &our_range));
	return lowest <= WIRE_VERSION && highest >= WIRE_TALK_MIN ? TALK_NEIGHBOUR : TALK_OTHER;
}

uint8_t stage_version_for(const struct message *m)
{
	return m->highest < WIRE_VERSION ? m->highest : WIRE_VERSION;
}

/* ── places ── */

int stage_dir_make(const char *runtime_dir, const char *name, struct reason *why)
{
	AUTO_FREE char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s", runtime_dir, name) < 0)
		return -ENOMEM;
	int r = FAILPOINT(NAME, "pipes.make", fs_mkdir(path, DIR_MODE)) < 0 && errno != EEXIST ? -errno : 0;
	AUTO_FD fd = r == 0 ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
	if (r == 0 && (fd < 0 || fstat(fd, &st) < 0))
		r = -errno;
	if (r < 0) {
		reason_set(why, "cannot create '%s': %s", path, strerror(-r));
		return r;
	}
	if (st.st_uid != geteuid()) {
		reason_set(why, "'%s' belongs to user %u", path, (unsigned)st.st_uid);
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		reason_set(why, "others can write in '%s' (mode %04o)", path, (unsigned)st.st_mode & 07777);
		return -EPERM;
	}
	return 0;
}

static int dir_of(int runtime_fd, enum stage_id stage, int *ret_fd)
{
	return dir_open_at(runtime_fd, stages[stage].name, false, ret_fd);
}

/* For users who may not open the lock. It only informs people, so failures are ignored. */
static void holder_note(int dir_fd, const char *program)
{
	AUTO_FD fd = -1;
	char text[LOCK_HOLDER_MAX];
	size_t len = lock_holder_format(program, text);

	if (file_open_at(dir_fd, STAGE_HOLDER, O_WRONLY | O_CREAT | O_TRUNC, HOLDER_MODE, &fd, NULL) == 0)
		(void)FAILPOINT(WRITE, "holder.write", file_write_all(fd, text, len, NULL));
}

int stage_no_locks(const char *runtime_dir, struct reason *why)
{
	reason_set(why,
		   "file locks (flock) do nothing on the file system of '%s': choose a local directory with "
		   "--runtime-dir",
		   runtime_dir);
	return -EOPNOTSUPP;
}

/* -ENOENT: a directory was removed under us. */
static int claim_once(const char *runtime_dir, enum stage_id stage, int *ret_lock_fd, struct reason *why)
{
	AUTO_FD runtime_fd = -1;
	AUTO_FD dir_fd = -1;
	struct reason holder;
	const struct stage_row *row = &stages[stage];

	int r = runtime_dir_make(runtime_dir, &runtime_fd, why);
	if (r == 0)
		r = stage_dir_make(runtime_dir, row->name, why);
	if (r == 0 && row->data_dir)
		r = stage_dir_make(runtime_dir, row->data_dir, why);
	if (r < 0)
		return r;
	r = dir_of(runtime_fd, stage, &dir_fd);
	if (r == 0)
		r = lock_take_at(dir_fd, STAGE_LOCK, LOCK_SERVE, row->name, ret_lock_fd, &holder);
	if (r == -EWOULDBLOCK)
		reason_set(why, "'%s/%s/" STAGE_LOCK "' is held by %s", runtime_dir, row->name, holder.text);
	else if (r == -EOPNOTSUPP)
		return stage_no_locks(runtime_dir, why);
	else if (r < 0)
		reason_set(why, "cannot lock '%s/%s/" STAGE_LOCK "': %s", runtime_dir, row->name, strerror(-r));
	else
		holder_note(dir_fd, row->name);
	return r;
}

int stage_claim(const char *runtime_dir, enum stage_id stage, int *ret_lock_fd, struct reason *why)
{
	struct stat st;
	int r = -ENOENT;

	for (unsigned i = 0; r == -ENOENT && i < CLAIM_TRIES; i++) {
		r = claim_once(runtime_dir, stage, ret_lock_fd, why);
		if (r == -ENOENT && stat(runtime_dir, &st) < 0 && errno == ENOENT)
			break; /* nor is there a directory to create it in */
	}
	return r;
}

int stage_ctl_address(const char *runtime_dir, enum stage_id stage, struct sockaddr_un *ret_address)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int len = snprintf(a.sun_path, sizeof(a.sun_path), "%s/%s/" STAGE_CTL, runtime_dir, stages[stage].name);

	if (len < 0 || (size_t)len >= sizeof(a.sun_path))
		return -ENAMETOOLONG;
	*ret_address = a;
	return 0;
}

static bool takes_connections(int runtime_fd, enum stage_id stage)
{
	struct sockaddr_un address;
	char path[sizeof("/proc/self/fd/") + 16];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", runtime_fd);
	AUTO_FD fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	return fd >= 0 && stage_ctl_address(path, stage, &address) == 0 &&
	       (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 || errno == EAGAIN);
}

/* "fetchd 4711 since 2026-01-31T12:34:56Z": the process, or 0: the note is not like that. */
static pid_t noted_process(const char *note)
{
	char digits[PID_DIGITS_MAX + 1] = "";
	const char *at = note + strcspn(note, " ");
	size_t len = strspn(at + (*at == ' '), "0123456789");
	uint64_t pid;

	if (*at != ' ' || len > PID_DIGITS_MAX || strncmp(at + 1 + len, " since ", strlen(" since ")) != 0)
		return 0;
	memcpy(digits, at + 1, len);
	return opt_parse_number(OPT_COUNT, digits, &pid) == 0 && pid <= INT32_MAX ? (pid_t)pid : 0;
}

static bool noted_process_is_there(int runtime_fd, enum stage_id stage)
{
	struct reason holder;

	stage_holder(runtime_fd, stage, &holder);
	pid_t pid = noted_process(holder.text);
	return pid > 0 && (kill(pid, 0) == 0 || errno == EPERM);
}

bool stage_runs(int runtime_fd, enum stage_id stage)
{
	AUTO_FD dir_fd = -1;
	int r = dir_of(runtime_fd, stage, &dir_fd);

	if (r == 0 && faccessat(dir_fd, STAGE_LOCK, R_OK, AT_EACCESS) == 0)
		return lock_is_held_at(dir_fd, STAGE_LOCK);
	if (r < 0 || errno == ENOENT)
		return false;
	return stages[stage].data_dir ? takes_connections(runtime_fd, stage)
				      : noted_process_is_there(runtime_fd, stage);
}

void stage_holder(int runtime_fd, enum stage_id stage, struct reason *ret_holder)
{
	AUTO_FD dir_fd = -1;
	AUTO_BUF text = BUF_INIT;

	if (dir_of(runtime_fd, stage, &dir_fd) < 0 || file_load_at(dir_fd, STAGE_HOLDER, LOCK_HOLDER_MAX, &text) < 0)
		buf_clear(&text);
	lock_holder_parse(buf_span(&text), ret_holder);
}

/* The type of a file there, S_IF…, without following it; 0: there is none, or we cannot look. */
static mode_t type_of(int runtime_fd, const char *name)
{
	struct stat st;

	return fstatat(runtime_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 ? st.st_mode & S_IFMT : 0;
}

bool stage_left_over(int runtime_fd, enum stage_id stage, struct reason *ret_name)
{
	if (stage_runs(runtime_fd, stage))
		return false;
	for (size_t i = 0; i < PLACES_MAX && stages[stage].sockets[i]; i++) {
		mode_t type = type_of(runtime_fd, stages[stage].sockets[i]);
		if (type == 0 || type == S_IFDIR)
			continue;
		reason_set(ret_name, "%s", stages[stage].sockets[i]);
		return true;
	}
	return false;
}

/* Whether something there is not of the wanted type, nor anything that a stage unlinks to bind a socket. */
static bool is_obstacle(int runtime_fd, const char *name, mode_t wanted, struct reason *ret_name)
{
	mode_t type = type_of(runtime_fd, name);

	if (type == 0 || type == wanted || (wanted == S_IFSOCK && type != S_IFDIR))
		return false;
	reason_set(ret_name, "%s", name);
	return true;
}

bool stage_obstacle(int runtime_fd, enum stage_id stage, struct reason *ret_name)
{
	const struct stage_row *row = &stages[stage];
	struct reason lock;

	reason_set(&lock, "%s/" STAGE_LOCK, row->name);
	if (is_obstacle(runtime_fd, row->name, S_IFDIR, ret_name) ||
	    is_obstacle(runtime_fd, lock.text, S_IFREG, ret_name) ||
	    (row->data_dir && is_obstacle(runtime_fd, row->data_dir, S_IFDIR, ret_name)))
		return true;
	for (size_t i = 0; i < PLACES_MAX && row->sockets[i]; i++)
		if (is_obstacle(runtime_fd, row->sockets[i], S_IFSOCK, ret_name))
			return true;
	return false;
}

void stage_sweep(int runtime_fd, enum stage_id stage)
{
	AUTO_FD dir_fd = -1;
	AUTO_FD lock_fd = -1;
	const struct stage_row *row = &stages[stage];

	if (dir_of(runtime_fd, stage, &dir_fd) < 0 ||
	    lock_take_at(dir_fd, STAGE_LOCK, LOCK_EXCLUSIVE, "sluice", &lock_fd, NULL) < 0)
		return;
	for (size_t i = 0; i < PLACES_MAX && row->sockets[i]; i++)
		(void)FAILPOINT(NAME, "sweep.socket", fs_unlinkat(runtime_fd, row->sockets[i], 0));
	(void)FAILPOINT(NAME, "sweep.holder", fs_unlinkat(dir_fd, STAGE_HOLDER, 0));
	(void)FAILPOINT(NAME, "sweep.lock", fs_unlinkat(dir_fd, STAGE_LOCK, 0));
	if (row->data_dir)
		(void)FAILPOINT(NAME, "sweep.pipes", fs_unlinkat(runtime_fd, row->data_dir, AT_REMOVEDIR));
	(void)FAILPOINT(NAME, "sweep.stage", fs_unlinkat(runtime_fd, row->name, AT_REMOVEDIR));
}
