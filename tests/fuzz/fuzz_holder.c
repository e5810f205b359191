/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is read about the holder of a lock, from files that another user may have written: it is shown as one line, and
 * only a process that is there makes a stage count as running. An input is the content of the lock and of the note
 * beside it.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/escape.h"
#include "common/base/file.h"
#include "common/base/lock.h"

/* Store */
#include "common/store/storelock.h"

/* Wire */
#include "common/wire/stage.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

#define SHOWN_MAX LOCK_HOLDER_MAX /* bytes of either file that are looked at */
#define NOBODY    65534

static char place[FUZZ_PLACE_SIZE];
static int runtime_fd = -1, stage_fd = -1;
static struct layout *layout;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void remove_place(void)
{
	layout_free(layout);
	(void)nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void make_place(void)
{
	char path[96];
	struct reason why;

	fuzz_place(place);
	FUZZ_CHECK(chmod(place, 0755) == 0 && atexit(remove_place) == 0);
	runtime_fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(runtime_fd >= 0 && mkdirat(runtime_fd, "fetchd", 0755) == 0);
	stage_fd = openat(runtime_fd, "fetchd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(stage_fd >= 0 && fchmod(stage_fd, 0755) == 0);
	(void)snprintf(path, sizeof(path), "%s/store", place);
	FUZZ_CHECK(layout_open(path, LAYOUT_INGESTER, &layout, &why) == 0);
}

static void write_file(int dir_fd, const char *name, struct span content)
{
	AUTO_FD fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && file_pwrite_all(fd, content.data, content.len, 0) == 0);
}

/* One line that says something and cannot do anything to a terminal. */
static void check_line(const struct reason *line)
{
	size_t len = strnlen(line->text, sizeof(line->text));

	FUZZ_CHECK(len > 0 && len < sizeof(line->text));
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK((unsigned char)line->text[i] >= ' ' && line->text[i] != 0x7f);
}

/* The first line of what is looked at, if there is one that is not empty, and nothing in it that ends it earlier. */
static void check_holder(struct span content, const struct reason *holder)
{
	char want[sizeof(holder->text)];
	const char *end = content.len > 0 ? memchr(content.data, '\n', content.len) : NULL;
	size_t len = end ? strnlen((const char *)content.data, (size_t)(end - (const char *)content.data)) : 0;

	check_line(holder);
	(void)escape_line(len > 0 ? (const char *)content.data : "another process",
			  len > 0 ? len : strlen("another process"), want, sizeof(want));
	FUZZ_CHECK(strcmp(holder->text, want) == 0);
}

/*
 * Held by somebody: the first line of the file, if that is one. Free again: the file says who we are, and nothing else.
 */
static void check_lock(struct span content)
{
	char want[64], text[SHOWN_MAX];
	struct reason holder = {""};
	size_t len;
	int fd = -1;

	write_file(stage_fd, STAGE_LOCK, content);
	AUTO_FD other = openat(stage_fd, STAGE_LOCK, O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(other >= 0 && flock(other, LOCK_EX | LOCK_NB) == 0);
	FUZZ_CHECK(lock_take_at(stage_fd, STAGE_LOCK, LOCK_EXCLUSIVE, "fuzz", &fd, &holder) == -EWOULDBLOCK);
	check_holder(span_of(content.data, content.len < SHOWN_MAX ? content.len : SHOWN_MAX), &holder);
	other = close_fd(other);

	FUZZ_CHECK(lock_take_at(stage_fd, STAGE_LOCK, LOCK_EXCLUSIVE, "fuzz", &fd, &holder) == 0);
	AUTO_FD ours = fd;
	FUZZ_CHECK(file_pread_full(ours, text, sizeof(text), 0, &len) == 0 && len > 0 && len < sizeof(text));
	(void)snprintf(want, sizeof(want), "fuzz %d since 2", (int)getpid());
	FUZZ_CHECK(memcmp(text, want, strlen(want)) == 0 && memchr(text, '\n', len) == text + len - 1);
}

/* The same where the lock is a store's. */
static void check_store(struct span content)
{
	struct reason why = {""};
	int fd;

	write_file(layout_ingest_fd(layout), INGEST_LOCK, content);
	AUTO_FD other = openat(layout_ingest_fd(layout), INGEST_LOCK, O_RDONLY | O_CLOEXEC);
	FUZZ_CHECK(other >= 0 && flock(other, LOCK_EX | LOCK_NB) == 0);
	FUZZ_CHECK(storelock_take(layout, LAYOUT_INGESTER, "fuzz", &fd, &why) == -EWOULDBLOCK);
	check_line(&why);
	FUZZ_CHECK(strstr(why.text, "is already served by ") != NULL);
}

/* "NAME PID since": the number, or 0. A slow and strict reader of it. */
static uint64_t pid_of(const char *line)
{
	uint64_t pid = 0;
	const char *at = line + strcspn(line, " ");

	at += strspn(at, " ");
	size_t digits = strspn(at, "0123456789");
	for (size_t i = 0; i < digits && pid <= INT32_MAX; i++)
		pid = 10 * pid + (uint64_t)(at[i] - '0');
	return digits > 0 && pid <= INT32_MAX && strncmp(at + digits, " since", 6) == 0 ? pid : 0;
}

/* As somebody sees it who may not open the lock. */
static void check_note(struct span content)
{
	struct reason holder = {""};

	write_file(stage_fd, STAGE_HOLDER, content);
	FUZZ_CHECK(fchmodat(stage_fd, STAGE_HOLDER, 0644, 0) == 0);
	stage_holder(runtime_fd, STAGE_FETCHD, &holder);
	check_holder(content.len <= SHOWN_MAX ? content : span_of(NULL, 0), &holder);
	if (geteuid() != 0)
		return;
	FUZZ_CHECK(seteuid(NOBODY) == 0);
	bool runs = stage_runs(runtime_fd, STAGE_FETCHD);
	uint64_t pid = pid_of(holder.text);
	bool is_there = pid > 0 && (kill((pid_t)pid, 0) == 0 || errno == EPERM);
	FUZZ_CHECK(seteuid(0) == 0);
	FUZZ_CHECK(!runs || is_there);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span content = span_of(data, len);

	if (stage_fd < 0)
		make_place();
	check_lock(content);
	check_store(content);
	check_note(content);
	return 0;
}
