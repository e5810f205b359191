/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Make a program's Nth allocation fail: LD_PRELOAD this, with NOMEM=N (0: none) and NOMEM_REPORT=FILE, which gets
 * "fired N malloc" when it fails, and "total N" if the program exits by itself.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void *__libc_malloc(size_t len);
void *__libc_calloc(size_t count, size_t len);
void *__libc_realloc(void *old, size_t len);

static atomic_ulong count;
static unsigned long nth;
static int report_fd = -1;

static void report(const char *what, unsigned long n)
{
	char line[64];
	int len = snprintf(line, sizeof(line), what, n);
	ssize_t written = write(report_fd, line, (size_t)len);
	(void)written;
}

__attribute__((constructor)) static void begin(void)
{
	const char *number = getenv("NOMEM"), *path = getenv("NOMEM_REPORT");
	char *end = NULL;
	if (!number || !path)
		return;
	report_fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	nth = strtoul(number, &end, 10);
	if (*end != '\0')
		_exit(64);
	atomic_store(&count, 0); /* not counting the allocations of the loader */
}

__attribute__((destructor)) static void finish(void)
{
	if (report_fd >= 0)
		report("total %lu\n", atomic_load(&count));
}

static bool fails(void)
{
	if (atomic_fetch_add(&count, 1) + 1 != nth || report_fd < 0)
		return false;
	report("fired %lu malloc\n", nth);
	errno = ENOMEM;
	return true;
}

void *malloc(size_t len)
{
	return fails() ? NULL : __libc_malloc(len);
}

void *calloc(size_t number, size_t len)
{
	return fails() ? NULL : __libc_calloc(number, len);
}

void *realloc(void *old, size_t len)
{
	return fails() ? NULL : __libc_realloc(old, len);
}
