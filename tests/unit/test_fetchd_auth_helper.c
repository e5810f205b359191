/* SPDX-License-Identifier: Apache-2.0 */
/* Credential helpers: their input and output, and that none runs longer than allowed. */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <signal.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/loop.h"

/* The code under test */
#include "fetchd/auth/helper.h"

#define LONG_MS 30000

struct heard {
	struct loop *loop;
	bool called;
	enum helper_end end;
	char output[256];
	struct reason why;
};

static void on_done(void *self, enum helper_end end, struct span output, const struct reason *why)
{
	struct heard *h = self;
	h->called = true;
	h->end = end;
	(void)snprintf(h->output, sizeof(h->output), "%.*s", SPAN_ARG(output));
	h->why = why ? *why : (struct reason){""};
	loop_break(h->loop);
}

/* A helper that is a shell script. */
static struct heard run(const char *script, const char *server, uint64_t timeout_ms)
{
	struct unit_dir d;
	struct heard heard = {0};
	struct helper *h;
	char text[1024], path[FILE_PATH_SIZE];
	unit_dir_make(&d);
	(void)snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
	unit_write_text(&d, "docker-credential-test", text);
	assert_int_equal(fchmodat(d.fd, "docker-credential-test", 0755, 0), 0);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", d.path);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(loop_new(&heard.loop), 0);
	assert_int_equal(helper_start(heard.loop, "test", server, timeout_ms, on_done, &heard, &h, &heard.why), 0);
	loop_run(heard.loop);
	loop_free(heard.loop);
	assert_true(heard.called);
	unit_dir_remove(&d);
	return heard;
}

static void test_asks(void **state)
{
	(void)state;
	struct heard heard = run("read server; echo \"$1 $# $server\"", "a.io:5000", LONG_MS);
	assert_int_equal(heard.end, HELPER_PRINTED);
	assert_string_equal(heard.output, "get 1 a.io:5000\n");
	heard = run("exec 1>&2; echo to stderr", "a", LONG_MS);
	assert_int_equal(heard.end, HELPER_PRINTED);
	assert_string_equal(heard.output, "");
}

/* It inherits no descriptor, and no signal is blocked or ignored. A shell that waits for a program has more open. */
static void test_inherits_nothing(void **state)
{
	int leaked = open("/dev/null", O_RDONLY); /* without O_CLOEXEC, as libraries do */
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	struct heard heard =
	    run("set -- /proc/$$/fd/*; echo $#; exec grep -c 'Sig\\(Ign\\|Blk\\):.*0000000$' /proc/self/status", "a",
		LONG_MS);
	assert_int_equal(heard.end, HELPER_PRINTED);
	assert_string_equal(heard.output, "5\n2\n"); /* 0, 1, 2, the script, and the directory that is read */
	assert_int_equal(close(leaked), 0);
}

static void test_ends(void **state)
{
	static const struct {
		const char *script;
		enum helper_end end;
		const char *why;
	} rows[] = {
	    {"echo 'credentials not found in native keychain'; exit 1", HELPER_NOTHING, ""},
	    {"echo 'my secret'; exit 3", HELPER_FAILED, "docker-credential-test ended with exit code 3"},
	    {"kill -9 $$", HELPER_FAILED, "docker-credential-test ended with signal 9"},
	    {"head -c 100000 /dev/zero", HELPER_FAILED, "docker-credential-test prints more than a credential"},
	    {"exec head -c 100000 /dev/zero", HELPER_FAILED, "docker-credential-test prints more than a credential"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct heard heard = run(rows[i].script, "a", LONG_MS);
		assert_int_equal(heard.end, rows[i].end);
		assert_string_equal(heard.why.text, rows[i].why);
	}
}

/* On a timeout it is killed with its children. */
static void test_timeout(void **state)
{
	(void)state;
	uint64_t start_ms = clock_mono_ms();
	struct heard heard = run("sleep 1000 & sleep 1000", "a", 50);
	assert_int_equal(heard.end, HELPER_FAILED);
	assert_string_equal(heard.why.text, "docker-credential-test does not answer");
	assert_true(clock_mono_ms() - start_ms < 20000);
	heard = run("exec >&- <&-; sleep 1000", "a", 50);
	assert_int_equal(heard.end, HELPER_FAILED);
}

/* Its children may live on and keep its stdout open. The answer is complete when the helper itself has ended. */
static void test_does_not_wait_for_others(void **state)
{
	(void)state;
	struct heard heard = run("sleep 5 & echo fine", "a", LONG_MS);
	assert_int_equal(heard.end, HELPER_PRINTED);
	assert_string_equal(heard.output, "fine\n");
}

static void test_missing(void **state)
{
	struct heard heard = {0};
	struct helper *h;
	(void)state;
	if (unit_emulated())
		skip();
	assert_int_equal(loop_new(&heard.loop), 0);
	assert_int_equal(helper_start(heard.loop, "is-not-there", "a", LONG_MS, on_done, &heard, &h, &heard.why),
			 -EINVAL);
	helper_cancel(NULL);
	assert_false(heard.called);
	loop_free(heard.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_asks),    cmocka_unit_test(test_inherits_nothing),
	    cmocka_unit_test(test_ends),    cmocka_unit_test(test_does_not_wait_for_others),
	    cmocka_unit_test(test_timeout), cmocka_unit_test(test_missing),
	};
	return cmocka_run_group_tests_name("fetchd auth helper", tests, NULL, NULL);
}
