/* SPDX-License-Identifier: Apache-2.0 */
/* Short writes. */

/* Own */
#include "tests/unit/test_ingestd_disk.h"

/* System */
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#define LIMIT 100000

static void limit_files(rlim_t bytes)
{
	const struct rlimit limit = {bytes, RLIM_INFINITY};

	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Exactly the accepted bytes are hashed and counted, and writing resumes behind them. */
static void test_short_write(void **state)
{
	struct ingest *in = open_ref("short");
	size_t accepted = 0;

	(void)state;
	(void)signal(SIGXFSZ, SIG_IGN);
	append(in, 0, LIMIT - 1000);
	limit_files(LIMIT);
	int r = ingest_append(in, content + LIMIT - 1000, 5000, &accepted);
	limit_files(RLIM_INFINITY);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(accepted, 1000);
	assert_prefix(in, LIMIT);
	append(in, LIMIT, CONTENT_LEN);
	expect(in);
	assert_match(in);
	ingest_close(in);
	in = open_ref("short");
	assert_prefix(in, CONTENT_LEN);
	ingest_close(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_short_write, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("ingest-short", tests, NULL, NULL);
}
