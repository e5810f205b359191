/* SPDX-License-Identifier: Apache-2.0 */
/* Progress output without a terminal. */

/* Own */
#include "tests/unit/stand_in_clock.h"

/* The code under test */
#include "sluice/show/progress.h"

#define MIB    (UINT64_C(1) << 20)
#define DIGEST "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

/* The output of the calls of `play` on stdout. */
static void capture(enum progress_mode mode, void (*play)(struct progress *p), char *out, size_t room)
{
	struct progress *p;
	int ends[2], saved = dup(STDOUT_FILENO);

	assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
	assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
	assert_int_equal(progress_new(mode, &p), 0);
	play(p);
	progress_free(p);
	assert_true(dup2(saved, STDOUT_FILENO) >= 0);
	(void)close(saved);
	(void)close(ends[1]);
	ssize_t n = read(ends[0], out, room - 1);
	(void)close(ends[0]);
	out[n > 0 ? n : 0] = '\0';
}

static void step(struct progress *p, size_t id, enum transfer_state state, uint64_t offset, const char *text)
{
	struct bar *item = progress_bar(p, id);

	item->begun = true;
	item->state = state;
	item->offset = offset;
	(void)snprintf(item->text, sizeof(item->text), "%s", text);
	progress_changed(p, id);
}

static void play_one(struct progress *p)
{
	size_t id;

	assert_int_equal(progress_add(p, DIGEST, 4 * MIB, &id), 0);
	step(p, id, TRANSFER_QUEUED, 0, "");
	step(p, id, TRANSFER_FETCHING, 0, "");
	step(p, id, TRANSFER_FETCHING, MIB, "");
	step(p, id, TRANSFER_WAITING, MIB, "for space");
	step(p, id, TRANSFER_FETCHING, 2 * MIB, "");
	step(p, id, TRANSFER_SEALED, 4 * MIB, "");
	step(p, id, TRANSFER_COMMITTED, 4 * MIB, "");
}

static void play_resumed(struct progress *p)
{
	size_t id;

	assert_int_equal(progress_add(p, DIGEST, 4 * MIB, &id), 0);
	step(p, id, TRANSFER_FETCHING, MIB, "");
	step(p, id, TRANSFER_WAITING, MIB, "waiting until noon");
	step(p, id, TRANSFER_FAILED, MIB, "gone");
}

static void test_plain_lines(void **state)
{
	char said[2048];
	(void)state;
	capture(PROGRESS_LINES, play_one, said, sizeof(said));
	assert_string_equal(said, "0123456789ab: started, 4.0MiB\n"
				  "0123456789ab: waiting: for space\n"
				  "0123456789ab: done, 4.0MiB\n");
	capture(PROGRESS_LINES, play_resumed, said, sizeof(said));
	assert_string_equal(said, "0123456789ab: resumed at 1.0MiB of 4.0MiB\n"
				  "0123456789ab: waiting until noon\n"
				  "0123456789ab: failed: gone\n");
	capture(PROGRESS_NONE, play_one, said, sizeof(said));
	assert_string_equal(said, "");
}

static void test_json_lines(void **state)
{
	char said[4096];
	(void)state;
	stand_in_clock_set(1000000);
	capture(PROGRESS_JSON, play_resumed, said, sizeof(said));
	stand_in_clock_release();
	assert_string_equal(said,
			    "{\"event\":\"progress\",\"ref\":\"" DIGEST "\",\"state\":\"fetching\",\"offset\":1048576,"
			    "\"total\":4194304,\"rate\":0}\n"
			    "{\"event\":\"progress\",\"ref\":\"" DIGEST "\",\"state\":\"waiting\",\"offset\":1048576,"
			    "\"total\":4194304,\"rate\":0,\"text\":\"waiting until noon\"}\n"
			    "{\"event\":\"progress\",\"ref\":\"" DIGEST "\",\"state\":\"failed\",\"offset\":1048576,"
			    "\"total\":4194304,\"rate\":0,\"text\":\"gone\"}\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain_lines),
	    cmocka_unit_test(test_json_lines),
	};
	return cmocka_run_group_tests_name("sluice progress", tests, NULL, NULL);
}
