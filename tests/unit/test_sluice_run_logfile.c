/* SPDX-License-Identifier: Apache-2.0 */
/* The log of the background supervisor: its bound, and what remains of it. */

/* Own */
#include "tests/unit/unit.h"

/* Base */
#include "common/base/fs.h"

/* The code under test */
#include "sluice/run/logfile.h"

#define LINE       "fetchd: noise\n"
#define LINE_LEN   (sizeof(LINE) - 1)
#define LINES_ONCE 4000u /* fit the pipe */

static struct unit_dir dir;
static struct logfile file;

static int set_up(void **state)
{
	(void)state;
	unit_dir_make(&dir);
	int fd = fs_openat(dir.fd, "log", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(logfile_begin(&file, fd), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	logfile_end(&file);
	assert_int_equal(close(file.file_fd), 0);
	unit_dir_remove(&dir);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(file.out_fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* Whole lines of noise, through the pipe; returns how many bytes. */
static size_t make_noise(bool final)
{
	for (unsigned i = 0; i < LINES_ONCE; i++)
		say(LINE);
	logfile_take(&file, final);
	return (size_t)LINES_ONCE * LINE_LEN;
}

static size_t size_now(void)
{
	struct stat st;

	assert_int_equal(fstat(file.file_fd, &st), 0);
	assert_true(st.st_size <= LOGFILE_MAX);
	return (size_t)st.st_size;
}

/* The file never exceeds its limit, and its last lines are whole. */
static void test_oldest_lines_go(void **state)
{
	AUTO_BUF text = BUF_INIT;
	size_t sent = 0;
	unsigned shorter = 0;
	(void)state;
	say("ingestd: the first line\n");
	while (sent < 4 * LOGFILE_MAX) {
		size_t before = size_now();
		sent += make_noise(false);
		shorter += size_now() < before;
	}
	assert_true(shorter >= 3);
	say("ingestd: the last line\n");
	logfile_take(&file, false);
	assert_int_equal(logfile_load(dir.fd, "log", &text), 0);
	assert_int_equal(text.len, size_now());
	assert_true(text.len >= LOGFILE_KEEP);
	assert_memory_equal(text.data, LINE, LINE_LEN);
	assert_null(strstr(text.data, "the first line"));
	assert_non_null(strstr(text.data, LINE "ingestd: the last line\n"));
}

static void test_final_lines_stay(void **state)
{
	AUTO_BUF text = BUF_INIT;
	size_t sent = 0;
	(void)state;
	while (sent < 4 * LOGFILE_MAX)
		sent += make_noise(false);
	say("ingestd: the reason\n");
	logfile_take(&file, false);
	for (sent = 0; sent < 4 * LOGFILE_MAX; sent += make_noise(true))
		(void)size_now();
	assert_int_equal(logfile_load(dir.fd, "log", &text), 0);
	assert_non_null(strstr(text.data, "ingestd: the reason\n" LINE));
}

/* Of a larger file, as the supervisor of an earlier release leaves one, the end is loaded. */
static void test_end_of_a_larger_file(void **state)
{
	AUTO_BUF text = BUF_INIT;
	(void)state;
	assert_int_equal(fs_ftruncate(file.file_fd, 3 * LOGFILE_MAX), 0);
	assert_int_equal(write(file.file_fd, LINE, LINE_LEN), (ssize_t)LINE_LEN);
	assert_int_equal(logfile_load(dir.fd, "log", &text), 0);
	assert_int_equal(text.len, LOGFILE_MAX);
	assert_string_equal(text.data + text.len - LINE_LEN, LINE);
}

/* Others write to the file between two lines, never within one. */
static void test_lines_stay_whole(void **state)
{
	(void)state;
	say("ingestd: half");
	logfile_take(&file, false);
	assert_int_equal(write(file.file_fd, "sluice: whole\n", 14), 14);
	say(" a line\ningestd: half");
	logfile_take(&file, false);
	unit_assert_content(&dir, "log", "sluice: whole\ningestd: half a line\n");
	logfile_end(&file);
	unit_assert_content(&dir, "log", "sluice: whole\ningestd: half a line\ningestd: half");
}

/* Without any newline the file is bounded nevertheless. */
static void test_endless_line(void **state)
{
	char bytes[4096];
	(void)state;
	memset(bytes, 'x', sizeof(bytes));
	for (size_t sent = 0; sent < 4 * LOGFILE_MAX; sent += sizeof(bytes)) {
		assert_int_equal(write(file.out_fd, bytes, sizeof(bytes)), sizeof(bytes));
		logfile_take(&file, false);
		(void)size_now();
	}
	assert_true(size_now() >= LOGFILE_KEEP);
}

static void test_nothing_to_take(void **state)
{
	struct logfile none = {.file_fd = -1, .in_fd = -1, .out_fd = -1};
	(void)state;
	logfile_take(&none, false);
	logfile_take(&file, false);
	assert_int_equal(size_now(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_oldest_lines_go, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_final_lines_stay, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_end_of_a_larger_file, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_lines_stay_whole, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_endless_line, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_nothing_to_take, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("sluice logfile", tests, NULL, NULL);
}
