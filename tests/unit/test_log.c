/* Log lines: prefixes, levels, escaping, length, one write each, and the limit on how often. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/base/clock.h"
#include "common/base/log.h"

static struct unit_dir dir;
static int real_stderr;
static char seen[8192];

/* stderr is a file from here on. */
static void capture_begin(void)
{
	unit_dir_make(&dir);
	int fd = openat(dir.fd, "stderr", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	real_stderr = dup(STDERR_FILENO);
	assert_true(fd >= 0 && real_stderr >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(fd), 0);
}

/* What has been written to it since. */
static const char *captured(void)
{
	ssize_t n = pread(STDERR_FILENO, seen, sizeof(seen) - 1, 0);
	assert_true(n >= 0);
	seen[n] = '\0';
	assert_int_equal(ftruncate(STDERR_FILENO, 0), 0);
	return seen;
}

static int setup(void **state)
{
	(void)state;
	capture_begin();
	(void)unsetenv("JOURNAL_STREAM");
	log_init("prog");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	unit_dir_remove(&dir);
	clock_fake_mono_ms(UINT64_MAX);
	return 0;
}

static void test_prefix(void **state)
{
	(void)state;
	log_notice("x=%d", 5);
	assert_string_equal(captured(), "prog: x=5\n");
	log_error("%s", "a\nprog: forged \x1b[0m");
	assert_string_equal(captured(), "prog: a\\x0aprog: forged \\x1b[0m\n");
}

static void test_levels(void **state)
{
	(void)state;
	log_info("no");
	log_debug("no");
	assert_string_equal(captured(), "");
	log_set_level(LOG_LEVEL_DEBUG);
	log_debug("yes");
	assert_string_equal(captured(), "prog: yes\n");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("no");
	log_error("yes");
	assert_string_equal(captured(), "prog: yes\n");
}

static void test_errno(void **state)
{
	(void)state;
	errno = EINTR;
	assert_int_equal(log_errno(-ENOENT, "cannot open '%s'", "x"), -ENOENT);
	assert_int_equal(errno, EINTR);
	assert_string_equal(captured(), "prog: cannot open 'x': No such file or directory\n");
}

static void test_journal(void **state)
{
	(void)state;
	char stream[64];
	struct stat st;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("prog");
	log_warning("x");
	assert_string_equal(captured(), "<4>x\n");
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino + 1);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("prog");
	log_warning("x");
	assert_string_equal(captured(), "prog: x\n");
}

static void test_long_line(void **state)
{
	static const int rows[] = {LOG_LINE_MAX - 7, LOG_LINE_MAX - 6, LOG_LINE_MAX, 4 * LOG_LINE_MAX};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		log_notice("%*s", rows[i], "x");
		const char *text = captured();
		size_t len = strlen(text);
		assert_true(len <= LOG_LINE_MAX);
		assert_int_equal(text[len - 1], '\n');
		assert_ptr_equal(strchr(text, '\n'), text + len - 1);
		assert_int_equal(text[len - 2], i == 0 ? 'x' : ' ');
	}
}

static void test_level_parse(void **state)
{
	static const struct {
		const char *text;
		int want;
	} rows[] = {{"error", 3}, {"warning", 4}, {"notice", 5}, {"info", 6},
		    {"debug", 7}, {"", 0},        {"Debug", 0},  {"7", 0}};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		enum log_level level = LOG_LEVEL_ERROR;
		assert_int_equal(log_level_parse(rows[i].text, &level), rows[i].want ? 0 : -EINVAL);
		assert_int_equal(level, rows[i].want ? rows[i].want : (int)LOG_LEVEL_ERROR);
	}
}

static void test_limit(void **state)
{
	(void)state;
	struct log_limit limit = {0};
	uint64_t held = 99;
	clock_fake_mono_ms(5000);
	assert_true(log_limit_pass(&limit, &held));
	assert_int_equal(held, 0);
	assert_false(log_limit_pass(&limit, &held));
	clock_fake_mono_ms(5999);
	assert_false(log_limit_pass(&limit, &held));
	clock_fake_mono_ms(6000);
	assert_true(log_limit_pass(&limit, &held));
	assert_int_equal(held, 2);
	clock_fake_mono_ms(7000);
	assert_true(log_limit_pass(&limit, &held));
	assert_int_equal(held, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_prefix, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_levels, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_errno, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_journal, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
	    cmocka_unit_test(test_level_parse),
	    cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
