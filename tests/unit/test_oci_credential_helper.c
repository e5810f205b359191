/* SPDX-License-Identifier: Apache-2.0 */
/* A credential helper that a command waits for. What is common with fetchd's is in test_fetchd_auth_helper.c. */

/* Own */
#include "tests/unit/unit.h"

/* Base */
#include "common/base/clock.h"

/* The code under test */
#include "common/oci/credential_helper.h"

#define LONG_MS 30000

/* A helper that is a shell script. */
static int run(const char *script, uint64_t timeout_ms, struct credential *c, struct reason *why)
{
	struct unit_dir d;
	char text[1024], path[FILE_PATH_SIZE];
	unit_dir_make(&d);
	(void)snprintf(text, sizeof(text), "#!/bin/sh\n%s\n", script);
	unit_write_text(&d, "docker-credential-test", text);
	assert_int_equal(fchmodat(d.fd, "docker-credential-test", 0755, 0), 0);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", d.path);
	assert_int_equal(setenv("PATH", path, 1), 0);
	*c = (struct credential){.kind = CREDENTIAL_HELPER};
	assert_int_equal(buf_append_str(&c->value, "test"), 0);
	assert_int_equal(buf_append_str(&c->server, "a.io:5000"), 0);
	why->text[0] = '\0';
	int r = credential_ask_helper(c, timeout_ms, why);
	unit_dir_remove(&d);
	return r;
}

#define SAYS "echo '{\"Username\":\"u\",\"Secret\":\"p\"}'"

static void test_rows(void **state)
{
	static const struct {
		const char *script;
		int want;
		const char *value, *why;
	} rows[] = {
	    {"read s; test \"$1 $# $s\" = 'get 1 a.io:5000' && " SAYS, 0, "dTpw", ""},
	    {SAYS "; exec >&-; read s; read end; exit 0", 0, "dTpw", ""},
	    {"sleep 5 & " SAYS, 0, "dTpw", ""},
	    {"echo '{\"Username\":\"u\",\"Secret\":\"\"}'", -ENOENT, NULL, ""},
	    {"echo 'credentials not found in native keychain'; exit 1", -ENOENT, NULL, ""},
	    {"echo secret; exit 3", -EINVAL, NULL, "docker-credential-test ended with exit code 3"},
	    {"kill -9 $$", -EINVAL, NULL, "docker-credential-test ended with signal 9"},
	    {"echo secret", -EINVAL, NULL, "docker-credential-test: what it printed is not a credential"},
	    {"exec head -c 100000 /dev/zero", -EINVAL, NULL, "docker-credential-test prints more than a credential"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct credential c;
		struct reason why;
		assert_int_equal(run(rows[i].script, LONG_MS, &c, &why), rows[i].want);
		assert_int_equal(c.kind, rows[i].want == 0 ? CREDENTIAL_BASIC : CREDENTIAL_NONE);
		if (rows[i].value)
			assert_string_equal(c.value.data, rows[i].value);
		assert_string_equal(why.text, rows[i].why);
		credential_wipe(&c);
	}
}

static void test_timeout(void **state)
{
	static const char *const scripts[] = {"exec sleep 1000", "exec >&- <&-; exec sleep 1000"};
	uint64_t start_ms = clock_mono_ms();
	(void)state;
	for (size_t i = 0; i < LEN(scripts); i++) {
		struct credential c;
		struct reason why;
		assert_int_equal(run(scripts[i], 50, &c, &why), -EINVAL);
		assert_string_equal(why.text, "docker-credential-test does not answer");
		credential_wipe(&c);
	}
	assert_true(clock_mono_ms() - start_ms < 500000);
}

static void test_missing(void **state)
{
	struct credential c = {.kind = CREDENTIAL_HELPER};
	struct reason why;
	(void)state;
	if (unit_emulated())
		skip();
	assert_int_equal(buf_append_str(&c.value, "is-not-there"), 0);
	assert_int_equal(buf_append_str(&c.server, "a.io"), 0);
	assert_int_equal(credential_ask_helper(&c, LONG_MS, &why), -EINVAL);
	assert_string_equal(why.text, "cannot run docker-credential-is-not-there: No such file or directory");
	assert_int_equal(c.kind, CREDENTIAL_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_rows),
	    cmocka_unit_test(test_timeout),
	    cmocka_unit_test(test_missing),
	};
	return cmocka_run_group_tests_name("oci credential helper", tests, NULL, NULL);
}
