/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: prefixes, levels, escaping, length, one write each, fields in the journal, the rate limit. */

/* Own */
#include "tests/unit/stand_in_clock.h"

/* System */
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

/* The code under test */
#include "common/base/journal.h"
#include "common/base/log.h"

static struct unit_dir dir;
static int real_stderr;
static char seen[8192];
static struct sockaddr_un journal_at;

/* Replaces the C library's function in this program: what is sent to the journal goes to ours. */
ssize_t sendto(int fd, const void *data, size_t len, int flags, __CONST_SOCKADDR_ARG to, socklen_t to_len)
{
	assert_int_equal(to_len, sizeof(struct sockaddr_un));
	assert_string_equal(to.__sockaddr_un__->sun_path, "/run/systemd/journal/socket");
	return syscall(SYS_sendto, fd, data, len, flags, &journal_at, sizeof(journal_at));
}

/* Redirect stderr to a file. */
static void capture_begin(void)
{
	unit_dir_make(&dir);
	int fd = openat(dir.fd, "stderr", O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	real_stderr = dup(STDERR_FILENO);
	assert_true(fd >= 0 && real_stderr >= 0);
	assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	assert_int_equal(close(fd), 0);
}

/* The output since then. */
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
	char path[FILE_PATH_SIZE];
	capture_begin();
	journal_at = (struct sockaddr_un){.sun_family = AF_UNIX};
	size_t len = strlen(unit_path(&dir, "journal", path));
	assert_true(len < sizeof(journal_at.sun_path));
	memcpy(journal_at.sun_path, path, len);
	(void)unsetenv("JOURNAL_STREAM");
	log_init("prog");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	log_flush();
	(void)dup2(real_stderr, STDERR_FILENO);
	(void)close(real_stderr);
	unit_dir_remove(&dir);
	stand_in_clock_release();
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

/* Set JOURNAL_STREAM to stderr or to another file. The journal is in our directory; it may not listen. */
static void journal_begin(unsigned wrong)
{
	char stream[64];
	struct stat st;
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	(void)snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		       (unsigned long long)st.st_ino + wrong);
	assert_int_equal(setenv("JOURNAL_STREAM", stream, 1), 0);
	log_init("prog");
}

static int journal_listen(void)
{
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (const struct sockaddr *)&journal_at, sizeof(journal_at)), 0);
	return fd;
}

static void test_journal(void **state)
{
	char entry[JOURNAL_ENTRY_MAX + 1];
	(void)state;
	int journal = journal_listen();
	journal_begin(0);
	const struct {
		struct log_fields fields;
		const char *text, *want;
	} rows[] = {
	    {{0}, "x", "PRIORITY=4\nSYSLOG_IDENTIFIER=prog\nMESSAGE=x\n"},
	    {{.ref = "sha256:00", .digest = "sha256:01", .host = "h:5000", .bytes = UINT64_MAX, .error = 5},
	     "x",
	     "PRIORITY=4\nSYSLOG_IDENTIFIER=prog\nREF=sha256:00\nDIGEST=sha256:01\nHOST=h:5000\n"
	     "BYTES=18446744073709551615\nERRNO=5\nMESSAGE=x\n"},
	    {{.host = "h\nPRIORITY=0"}, /* neither a value nor the text can start a field */
	     "a\nPRIORITY=0\r\x1b",
	     "PRIORITY=4\nSYSLOG_IDENTIFIER=prog\nHOST=h\\x0aPRIORITY=0\n"
	     "MESSAGE=a\\x0aPRIORITY=0\\x0d\\x1b\n"},
	};
	for (size_t i = 0; i < LEN(rows); i++) {
		log_with(LOG_LEVEL_WARNING, &rows[i].fields, "%s", rows[i].text);
		ssize_t n = recv(journal, entry, sizeof(entry) - 1, MSG_DONTWAIT);
		assert_true(n > 0);
		entry[n] = '\0';
		assert_string_equal(entry, rows[i].want);
	}
	(void)log_errno(-ENOENT, "cannot open");
	ssize_t n = recv(journal, entry, sizeof(entry) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	entry[n] = '\0';
	assert_non_null(strstr(entry, "\nERRNO=2\nMESSAGE=cannot open: No such file or directory\n"));
	assert_string_equal(captured(), "");
	assert_int_equal(close(journal), 0);
}

/* Values that fill an entry end it at a whole field. The text of a line always fits beside a ref. */
static void test_journal_entry_is_bounded(void **state)
{
	static char longest[2 * JOURNAL_ENTRY_MAX];
	static struct journal_entry e;
	(void)state;
	memset(longest, 'x', sizeof(longest) - 1);
	journal_add(&e, "A", longest);
	journal_add(&e, "B", longest);
	assert_true(e.len <= sizeof(e.text) && e.len >= sizeof(e.text) - 8);
	assert_memory_equal(e.text, "A=xxxx", 6);
	assert_int_equal(e.text[e.len - 1], '\n');
	assert_ptr_equal(memchr(e.text, '\n', e.len), e.text + e.len - 1);
}

static void test_absent_journal(void **state)
{
	(void)state;
	journal_begin(0);
	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = "r"}, "x");
	assert_string_equal(captured(), "<4>x\n");
}

static void test_journal_of_another_stream(void **state)
{
	(void)state;
	journal_begin(1);
	log_with(LOG_LEVEL_WARNING, &(struct log_fields){.ref = "r"}, "x");
	assert_string_equal(captured(), "prog: x\n");
}

/* Each row is one call: a text, the number of times, and the new output on stderr. */
static void test_repeats(void **state)
{
	static const struct {
		uint64_t now_ms;
		const char *text;
		unsigned times;
		const char *want;
	} rows[] = {
	    {0, "x", 1, "prog: x\n"},
	    {1, "x", 57, ""},
	    {2, "y", 1, "prog: x (repeated 57 times)\nprog: y\n"}, /* before the next line */
	    {3, "y", 1, ""},
	    {4, "x", 1, "prog: y (repeated 1 time)\nprog: x\n"},
	    {LOG_REPEAT_MS + 3, "x", 3, ""},
	    {LOG_REPEAT_MS + 4, "x", 1, "prog: x (repeated 4 times)\n"}, /* when its time has passed */
	    {LOG_REPEAT_MS + 5, "x", 1, ""},                             /* the next count has its own time */
	    {2 * LOG_REPEAT_MS + 3, "x", 1, ""},
	    {2 * LOG_REPEAT_MS + 4, "x", 1, "prog: x (repeated 3 times)\n"},
	    {5 * LOG_REPEAT_MS, "x", 1, "prog: x (repeated 1 time)\n"},
	    {5 * LOG_REPEAT_MS, "z", 1, "prog: z\n"}, /* no count is written twice */
	    {5 * LOG_REPEAT_MS, "", 1, "prog: \n"},
	    {5 * LOG_REPEAT_MS, "", 1, ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		stand_in_clock_set(rows[i].now_ms);
		for (unsigned n = 0; n < rows[i].times; n++)
			log_notice("%s", rows[i].text);
		assert_string_equal(captured(), rows[i].want);
	}
}

/* Without another line, a count is written by the loop when it is due, and at the end. */
static void test_repeats_are_flushed(void **state)
{
	(void)state;
	stand_in_clock_set(0);
	log_error("x");
	log_error("x");
	stand_in_clock_set(LOG_REPEAT_MS - 1);
	log_flush_due();
	assert_string_equal(captured(), "prog: x\n");
	stand_in_clock_set(LOG_REPEAT_MS);
	errno = EINTR;
	log_flush_due();
	assert_int_equal(errno, EINTR);
	assert_string_equal(captured(), "prog: x (repeated 1 time)\n");
	log_flush();
	log_flush_due();
	assert_string_equal(captured(), "");
	log_error("x");
	log_flush();
	assert_string_equal(captured(), "prog: x (repeated 1 time)\n");
	log_error("x");
	log_init("prog"); /* start over */
	log_error("x");
	assert_string_equal(captured(), "prog: x (repeated 1 time)\nprog: x\n");
}

/* A line of another level or field is a different line. The count has the fields of its line. */
static void test_repeats_in_the_journal(void **state)
{
	static const struct log_fields rows[] = {{.ref = "r"},
						 {.ref = "s"},
						 {.ref = "s", .host = "h"},
						 {.ref = "s", .host = "h", .bytes = 7},
						 {.ref = "s", .host = "h", .bytes = 7, .error = 5}};
	char entry[JOURNAL_ENTRY_MAX + 1];
	(void)state;
	int journal = journal_listen();
	journal_begin(0);
	for (size_t i = 0; i < LEN(rows); i++) {
		log_with(LOG_LEVEL_WARNING, &rows[i], "x");
		assert_true(recv(journal, entry, sizeof(entry), MSG_DONTWAIT) > 0);
	}
	log_with(LOG_LEVEL_ERROR, &rows[LEN(rows) - 1], "x");
	assert_true(recv(journal, entry, sizeof(entry), MSG_DONTWAIT) > 0);
	for (int i = 0; i < 3; i++)
		log_with(LOG_LEVEL_ERROR, &rows[LEN(rows) - 1], "x");
	assert_true(recv(journal, entry, sizeof(entry), MSG_DONTWAIT) < 0);
	log_flush();
	ssize_t n = recv(journal, entry, sizeof(entry) - 1, MSG_DONTWAIT);
	assert_true(n > 0);
	entry[n] = '\0';
	assert_string_equal(entry, "PRIORITY=3\nSYSLOG_IDENTIFIER=prog\nREF=s\nHOST=h\nBYTES=7\nERRNO=5\n"
				   "REPEATED=3\nMESSAGE=x (repeated 3 times)\n");
	assert_string_equal(captured(), "");
	assert_int_equal(close(journal), 0);
}

/* The count is visible however long the line is. */
static void test_repeats_of_a_long_line(void **state)
{
	(void)state;
	for (int i = 0; i < 3; i++)
		log_notice("%*s", 4 * LOG_LINE_MAX, "x");
	(void)captured();
	log_flush();
	const char *text = captured();
	assert_true(strlen(text) <= LOG_LINE_MAX);
	assert_non_null(strstr(text, "  (repeated 2 times)\n"));
}

static void test_long_line(void **state)
{
	static const int rows[] = {LOG_LINE_MAX - 7, LOG_LINE_MAX - 6, LOG_LINE_MAX, 4 * LOG_LINE_MAX};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		log_notice("%c%*s", 'a' + (int)i, rows[i] - 1, "x");
		const char *text = captured();
		size_t len = strlen(text);
		assert_true(len <= LOG_LINE_MAX);
		assert_int_equal(text[len - 1], '\n');
		assert_ptr_equal(strchr(text, '\n'), text + len - 1);
		assert_int_equal(text[len - 2], i == 0 ? 'x' : ' ');
	}
}

/* The number of different lines from one place in the code is limited; other places are not affected. */
static void test_budget(void **state)
{
	char text[128];
	(void)state;
	stand_in_clock_set(1000);
	for (unsigned i = 0; i < LOG_BURST + 7; i++) {
		log_notice("flood %u", i);
		if (i == LOG_BURST)
			(void)captured(); /* the burst */
	}
	assert_string_equal(captured(), "");
	log_notice("another %d", 1);
	assert_string_equal(captured(), "prog: another 1\n");
	stand_in_clock_set(1000 + 1000 / LOG_LINES_A_SECOND);
	log_notice("flood %u", 1u);
	log_notice("flood %u", 2u);
	assert_string_equal(captured(), "prog: flood 1 (7 more not shown)\n");
	stand_in_clock_set(1000 + 2000 * LOG_BURST);
	for (unsigned i = 0; i < LOG_BURST; i++) {
		(void)captured();
		log_notice("flood %u", i);
	}
	(void)snprintf(text, sizeof(text), "prog: flood %u\n", LOG_BURST - 1);
	assert_string_equal(captured(), text);
}

/* Debug lines are not limited. */
static void test_no_budget_of_debug_lines(void **state)
{
	char text[128];
	(void)state;
	stand_in_clock_set(1000);
	log_set_level(LOG_LEVEL_DEBUG);
	for (unsigned i = 0; i <= LOG_BURST; i++) {
		(void)captured();
		log_debug("flood %u", i);
	}
	(void)snprintf(text, sizeof(text), "prog: flood %u\n", LOG_BURST);
	assert_string_equal(captured(), text);
}

/* Formats without a place in the table share one budget. */
static void test_many_budgets(void **state)
{
	static char formats[200][16];
	(void)state;
	stand_in_clock_set(1000);
	for (size_t i = 0; i < LEN(formats); i++) {
		(void)snprintf(formats[i], sizeof(formats[i]), "f%zu", i);
		log_at(LOG_LEVEL_NOTICE, formats[i], 0);
		assert_non_null(strstr(captured(), formats[i]));
	}
}

static void test_limit(void **state)
{
	(void)state;
	struct log_limit limit = {0};
	uint64_t held = 99;
	stand_in_clock_set(5000);
	assert_true(log_limit_pass(&limit, &held));
	assert_int_equal(held, 0);
	assert_false(log_limit_pass(&limit, &held));
	stand_in_clock_set(5999);
	assert_false(log_limit_pass(&limit, &held));
	stand_in_clock_set(6000);
	assert_true(log_limit_pass(&limit, &held));
	assert_int_equal(held, 2);
	stand_in_clock_set(7000);
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
	    cmocka_unit_test(test_journal_entry_is_bounded),
	    cmocka_unit_test_setup_teardown(test_absent_journal, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_journal_of_another_stream, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_repeats, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_repeats_are_flushed, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_repeats_in_the_journal, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_repeats_of_a_long_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_long_line, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_no_budget_of_debug_lines, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_many_budgets, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_limit, setup, teardown),
	};
	return cmocka_run_group_tests_name("log", tests, NULL, NULL);
}
