/* SPDX-License-Identifier: Apache-2.0 */
/* Leases and ages as files: what is read is what was whole, and is unchanged after writing and reading. */

/* System */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/file.h"

/* Store */
#include "common/store/ages.h"
#include "common/store/lease.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

#define FILE_NAME "file"

static char directory[] = "/tmp/sluice-fuzz-XXXXXX";
static int directory_fd = -1;

static void remove_directory(void)
{
	(void)unlinkat(directory_fd, FILE_NAME, 0);
	(void)rmdir(directory);
}

static void make_directory(void)
{
	FUZZ_CHECK(mkdtemp(directory) != NULL);
	directory_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	FUZZ_CHECK(directory_fd >= 0 && atexit(remove_directory) == 0);
}

static int append_member(void *self, const struct digest *d, bool is_root)
{
	return lease_format_member(d, is_root, self);
}

static void check_lease(struct span text)
{
	AUTO_BUF members = BUF_INIT, again = BUF_INIT;
	const struct lease_hooks hooks = {.member = append_member, .self = &members};
	struct lease l, back;
	size_t whole_len = 0, back_len = 0;

	if (lease_parse(text, &l, &hooks, &whole_len) < 0)
		return;
	FUZZ_CHECK(whole_len <= text.len && strlen(l.purpose) <= LEASE_PURPOSE_MAX);
	FUZZ_CHECK(lease_format(&l, &again) == 0 &&
		   buf_append(&again, members.data ? members.data : "", members.len) == 0);
	FUZZ_CHECK(lease_parse(buf_span(&again), &back, NULL, &back_len) == 0 && back_len == again.len);
	FUZZ_CHECK(back.uid == l.uid && back.ttl_s == l.ttl_s && back.at_s == l.at_s && back.is_firm == l.is_firm);
	/* What was whole is whole without the rest. */
	FUZZ_CHECK(lease_parse(span_of(text.data, whole_len), &back, NULL, &back_len) == 0 && back_len == whole_len);
}

/* Nothing that a file says prevents that it is read and replaced. */
static void check_ages(struct span text)
{
	static const uint8_t boot[BOOT_ID_SIZE] = {1};
	struct ages *ages;
	struct digest d;
	size_t written;

	if (directory_fd < 0)
		make_directory();
	AUTO_FD fd = openat(directory_fd, FILE_NAME, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	FUZZ_CHECK(fd >= 0 && file_write_all(fd, text.data, text.len, &written) == 0);
	digest_of(HASH_SHA256, "a", 1, &d);
	FUZZ_CHECK(ages_load(directory_fd, FILE_NAME, boot, &ages) == 0);
	uint64_t age_s = ages_of(ages, &d);
	FUZZ_CHECK(ages_keep(ages, &d) == 0 && ages_of(ages, &d) == age_s);
	ages_free(ages);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	check_lease(span_of(data, len));
	check_ages(span_of(data, len));
	return 0;
}
