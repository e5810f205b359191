/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cmocka with the headers that it needs, and a directory for files. Shared by the tests of the two lower floors.
 */
#ifndef SLUICE_TESTS_UNIT_H
#define SLUICE_TESTS_UNIT_H

/* System */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define LEN(array)     (sizeof(array) / sizeof((array)[0]))
#define DIR_PATH_SIZE  64
#define FILE_PATH_SIZE 512

/* Which row of a table failed. */
#define for_each_row(row, rows) for (size_t i_ = 0; i_ < LEN(rows) && ((row) = &(rows)[i_], true); i_++)

/*
 * Whether an emulator runs this (tests/release): qemu-user has no system call filters, and its posix_spawn() does not
 * report a missing program.
 */
static inline bool unit_emulated(void)
{
	return getenv("EMULATED") != NULL;
}

struct unit_dir {
	char path[DIR_PATH_SIZE];
	int fd;
};

static inline void unit_dir_make(struct unit_dir *d)
{
	(void)snprintf(d->path, sizeof(d->path), "/tmp/sluice-unit-XXXXXX");
	assert_non_null(mkdtemp(d->path));
	d->fd = open(d->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(d->fd >= 0);
}

static inline int unit_remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static inline void unit_dir_remove(struct unit_dir *d)
{
	(void)close(d->fd);
	(void)nftw(d->path, unit_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *unit_path(const struct unit_dir *d, const char *name, char out[static FILE_PATH_SIZE])
{
	(void)snprintf(out, FILE_PATH_SIZE, "%s/%s", d->path, name);
	return out;
}

static inline void unit_write(const struct unit_dir *d, const char *name, const void *data, size_t len)
{
	int fd = openat(d->fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	assert_int_equal(close(fd), 0);
}

static inline void unit_write_text(const struct unit_dir *d, const char *name, const char *text)
{
	unit_write(d, name, text, strlen(text));
}

static inline void unit_assert_content(const struct unit_dir *d, const char *name, const char *want)
{
	char have[4096];
	int fd = openat(d->fd, name, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	ssize_t n = read(fd, have, sizeof(have) - 1);
	assert_true(n >= 0);
	have[n] = '\0';
	assert_int_equal(close(fd), 0);
	assert_string_equal(have, want);
}

static inline bool unit_exists(const struct unit_dir *d, const char *name)
{
	return faccessat(d->fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* How many entries the directory has. */
static inline size_t unit_count(const struct unit_dir *d)
{
	size_t count = 0;
	DIR *dir = opendir(d->path);
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	(void)closedir(dir);
	return count - 2;
}

#endif
