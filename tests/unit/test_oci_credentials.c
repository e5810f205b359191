/* SPDX-License-Identifier: Apache-2.0 */
/* Passwords: the forms of the files, which entry and which file wins, and no text that could forge a header. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/oci/credentials.h"

#define JOE            "am9lOnNlY3JldA==" /* joe:secret */

#define AUTHS(members) "{\"auths\":{" members "}}"
#define ENTRY(key)     "\"" key "\":{\"auth\":\"" JOE "\"}"
#define OTHER(key)     "\"" key "\":{\"auth\":\"eDp5\"}"

static void test_parse(void **state)
{
	static const struct {
		const char *text, *host, *name;
		enum credential_kind kind; /* NONE: -EINVAL */
		const char *want;
	} rows[] = {
	    {AUTHS(ENTRY("a.io")), "a.io", "", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("a.io:5000")), "a.io:5000", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("https://a.io/v1/")), "a.io", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("https://index.docker.io/v1/")), "docker.io", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("index.docker.io/v1/")), "docker.io", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("docker.io")), "docker.io", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("registry-1.docker.io")), "docker.io", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("docker.io/library")), "docker.io", "library/alpine", CREDENTIAL_BASIC, JOE},
	    {AUTHS(OTHER("a.io") "," ENTRY("a.io/b")), "a.io", "b/c", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("a.io/b") "," OTHER("a.io")), "a.io", "b/c", CREDENTIAL_BASIC, JOE},
	    {AUTHS(OTHER("a.io/b") "," ENTRY("a.io/b/c")), "a.io", "b/c", CREDENTIAL_BASIC, JOE},
	    {AUTHS(OTHER("a.io/b/c/d") "," ENTRY("a.io/b")), "a.io", "b/c", CREDENTIAL_BASIC, JOE},
	    {AUTHS(OTHER("a.io/b") "," ENTRY("a.io")), "a.io", "bc", CREDENTIAL_BASIC, JOE},
	    {AUTHS(OTHER("https://a.io") "," ENTRY("a.io")), "a.io", "x", CREDENTIAL_BASIC, JOE},
	    {AUTHS(ENTRY("a.io") ",\"a.io/b\":{}"), "a.io", "b/c", CREDENTIAL_BASIC, JOE},
	    {AUTHS("\"a.io\":{\"auth\":\"YW\\nI6\\r\\n\"}"), "a.io", "", CREDENTIAL_BASIC, "YWI6"},
	    {AUTHS("\"a.io\":{\"auth\":\"\\n\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {AUTHS("\"a.io\":{\"auth\":\"YW I6\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {AUTHS("\"a.io\":{\"username\":\"joe\",\"password\":\"secret\"}"), "a.io", "", CREDENTIAL_BASIC, JOE},
	    {AUTHS("\"a.io\":{\"username\":\"a\",\"password\":\"\"}"), "a.io", "", CREDENTIAL_BASIC, "YTo="},
	    {AUTHS("\"a.io\":{\"username\":\"ab\",\"password\":\"\"}"), "a.io", "", CREDENTIAL_BASIC, "YWI6"},
	    {AUTHS("\"a.io\":{\"auth\":\"eDo=\",\"identitytoken\":\"t0k.en\"}"), "a.io", "", CREDENTIAL_IDENTITY,
	     "t0k.en"},
	    {"{\"credHelpers\":{\"a.io\":\"pass\"},\"auths\":{" OTHER("a.io") "}}", "a.io", "b", CREDENTIAL_HELPER,
	     "pass"},
	    {"{\"credsStore\":\"desktop\",\"auths\":{\"a.io\":{}}}", "a.io", "b", CREDENTIAL_HELPER, "desktop"},
	    {"{\"credsStore\":\"desktop\",\"auths\":{" ENTRY("a.io") "}}", "a.io", "b", CREDENTIAL_BASIC, JOE},
	    {AUTHS("\"a.io\":{\"auth\":\"am9l\\r\\nX: y\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {AUTHS("\"a.io\":{\"auth\":\"joe:secret\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {AUTHS("\"a.io\":{\"auth\":\"abc\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {AUTHS("\"a.io\":{\"auth\":\"====\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {AUTHS("\"a.io\":{\"identitytoken\":\"two words\"}"), "a.io", "", CREDENTIAL_NONE, ""},
	    {"{\"credHelpers\":{\"a.io\":\"../../bin/sh\"}}", "a.io", "", CREDENTIAL_NONE, ""},
	    {"{\"credsStore\":\"a b\"}", "a.io", "", CREDENTIAL_NONE, ""},
	    {"nothing of secret", "a.io", "", CREDENTIAL_NONE, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"secret", "a.io", "", CREDENTIAL_NONE, ""},
	    {"", "a.io", "", CREDENTIAL_NONE, ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct credential c = {0};
		struct reason why = {""};
		int r = credentials_parse(span_str(rows[i].text), rows[i].host, rows[i].name, &c, &why);
		if (r != (rows[i].kind == CREDENTIAL_NONE ? -EINVAL : 0))
			fail_msg("%s: %d", rows[i].text, r);
		assert_int_equal(c.kind, rows[i].kind);
		assert_string_equal(c.value.data ? c.value.data : "", rows[i].want);
		assert_int_equal(r == -EINVAL, why.text[0] != '\0');
		assert_null(strstr(why.text, "secret")); /* no message repeats a secret */
		credential_wipe(&c);
		assert_null(c.value.data);
	}
}

static void test_parse_none(void **state)
{
	static const struct {
		const char *text, *host, *name;
	} rows[] = {
	    {AUTHS(ENTRY("a.io")), "a.io:5000", ""},
	    {AUTHS(ENTRY("a.io:5000")), "a.io", ""},
	    {AUTHS(ENTRY("a.io")), "b.a.io", ""},
	    {AUTHS(ENTRY("a.io.evil")), "a.io", ""},
	    {AUTHS(ENTRY("a.io/repo")), "a.io", ""},
	    {AUTHS(ENTRY("a.io/repo")), "a.io", "rep"},
	    {AUTHS(ENTRY("a.io/repo")), "a.io", "repository"},
	    {AUTHS(ENTRY("index")), "docker.io", ""},
	    {AUTHS(ENTRY("docker.io")), "docker.io.evil", ""},
	    {AUTHS(ENTRY("https://docker.io.evil/docker.io")), "docker.io", ""},
	    {AUTHS("\"a.io\":{}"), "a.io", ""},
	    {AUTHS("\"a.io\":{\"auth\":\"\"}"), "a.io", ""},
	    {AUTHS("\"a.io\":{\"auth\":7}"), "a.io", ""},
	    {"{\"credHelpers\":{\"b.io\":\"pass\"}}", "a.io", ""},
	    {"{\"credHelpers\":{\"a.io\":\"\"},\"credsStore\":\"\"}", "a.io", ""},
	    {"{\"credHelpers\":7,\"credsStore\":[]}", "a.io", ""},
	    {"{\"auths\":[]}", "a.io", ""},
	    {"{}", "a.io", ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct credential c = {0};
		struct reason why = {""};
		assert_int_equal(credentials_parse(span_str(rows[i].text), rows[i].host, rows[i].name, &c, &why),
				 -ENOENT);
		assert_int_equal(c.kind, CREDENTIAL_NONE);
		assert_string_equal(why.text, "");
	}
}

/* The server that a helper is asked for: Docker's own key for Docker Hub, else the host as spelled in the file. */
static void test_helper_servers(void **state)
{
	static const struct {
		const char *text, *host, *server;
	} rows[] = {
	    {"{\"credsStore\":\"x\"}", "docker.io", "https://index.docker.io/v1/"},
	    {"{\"credsStore\":\"x\"}", "a.io:5000", "a.io:5000"},
	    {"{\"credHelpers\":{\"a.io\":\"x\"}}", "a.io", "a.io"},
	    {"{\"credHelpers\":{\"https://index.docker.io/v1/\":\"x\"}}", "docker.io", "https://index.docker.io/v1/"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct credential c = {0};
		assert_int_equal(credentials_parse(span_str(rows[i].text), rows[i].host, "b", &c, NULL), 0);
		assert_int_equal(c.kind, CREDENTIAL_HELPER);
		assert_string_equal(c.server.data, rows[i].server);
		credential_wipe(&c);
	}
}

static void test_parse_helper(void **state)
{
	static const struct {
		const char *text;
		int r;
		enum credential_kind kind;
		const char *want;
	} rows[] = {
	    {"{\"ServerURL\":\"a\",\"Username\":\"joe\",\"Secret\":\"secret\"}", 0, CREDENTIAL_BASIC, JOE},
	    {"{\"Username\":\"<token>\",\"Secret\":\"t0k.en\"}", 0, CREDENTIAL_IDENTITY, "t0k.en"},
	    {"{\"Username\":\"joe\",\"Secret\":\"\"}", -ENOENT, CREDENTIAL_NONE, ""},
	    {"{\"Username\":\"<token>\",\"Secret\":\"a secret\"}", -EINVAL, CREDENTIAL_NONE, ""},
	    {"{\"Username\":\"joe\"}", -EINVAL, CREDENTIAL_NONE, ""},
	    {"{\"Username\":7,\"Secret\":\"secret\"}", -EINVAL, CREDENTIAL_NONE, ""},
	    {"[]", -EINVAL, CREDENTIAL_NONE, ""},
	    {"my secret", -EINVAL, CREDENTIAL_NONE, ""},
	    {"", -EINVAL, CREDENTIAL_NONE, ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct credential c = {0};
		struct reason why = {""};
		assert_int_equal(credentials_parse_helper(span_str(rows[i].text), &c, &why), rows[i].r);
		assert_int_equal(c.kind, rows[i].kind);
		assert_string_equal(c.value.data ? c.value.data : "", rows[i].want);
		assert_null(strstr(why.text, "secret"));
		credential_wipe(&c);
	}
}

static void write_file(const struct unit_dir *d, const char *name, const char *host, const char *auth)
{
	char text[256];
	(void)snprintf(text, sizeof(text), "{\"auths\":{\"%s\":{\"auth\":\"%s\"}}}", host, auth);
	unit_write_text(d, name, text);
}

static void assert_finds(const char *auth_file, const char *host, const char *want)
{
	struct credential c = {0};
	struct credential_search s = {.auth_file = auth_file, .host = host, .name = "b/c"};
	assert_int_equal(credentials_find(&s, &c, NULL), want ? 0 : -ENOENT);
	if (want)
		assert_string_equal(c.value.data, want);
	credential_wipe(&c);
}

/* The first file with the host wins, not the first file that exists. */
static void test_find(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE], other[FILE_PATH_SIZE];
	(void)state;
	unit_dir_make(&d);
	assert_int_equal(mkdirat(d.fd, "containers", 0700), 0);
	assert_int_equal(mkdirat(d.fd, ".config", 0700), 0);
	assert_int_equal(mkdirat(d.fd, ".config/containers", 0700), 0);
	assert_int_equal(mkdirat(d.fd, ".docker", 0700), 0);
	write_file(&d, "given", "one.io", "AAAA");
	assert_int_equal(mkdirat(d.fd, "secrets", 0700), 0);
	write_file(&d, "secrets/sluice-auth.json", "service.io", "SSSS");
	write_file(&d, "environment", "two.io", "BBBB");
	write_file(&d, "containers/auth.json", "three.io", "CCCC");
	write_file(&d, ".config/containers/auth.json", "four.io", "DDDD");
	write_file(&d, ".docker/config.json", "five.io", "EEEE");
	assert_int_equal(mkdirat(d.fd, "config", 0700), 0);
	assert_int_equal(mkdirat(d.fd, "config/containers", 0700), 0);
	write_file(&d, "config/containers/auth.json", "six.io", "FFFF");
	write_file(&d, "config/config.json", "seven.io", "GGGG");
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	assert_int_equal(unsetenv("DOCKER_CONFIG"), 0);
	assert_int_equal(setenv("REGISTRY_AUTH_FILE", unit_path(&d, "environment", path), 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", d.path, 1), 0);
	assert_int_equal(setenv("CREDENTIALS_DIRECTORY", unit_path(&d, "secrets", path), 1), 0);
	assert_int_equal(setenv("HOME", d.path, 1), 0);
	unit_path(&d, "given", path);
	assert_finds(path, "one.io", "AAAA");
	assert_finds(path, "service.io", "SSSS");
	assert_finds(path, "two.io", "BBBB");
	assert_finds(path, "three.io", "CCCC");
	assert_finds(path, "four.io", "DDDD");
	assert_finds(path, "five.io", "EEEE");
	assert_finds(path, "six.io", NULL);
	assert_int_equal(setenv("XDG_CONFIG_HOME", unit_path(&d, "config", other), 1), 0);
	assert_finds(path, "six.io", "FFFF");
	assert_finds(path, "four.io", NULL);
	assert_int_equal(setenv("DOCKER_CONFIG", other, 1), 0);
	assert_finds(path, "seven.io", "GGGG");
	assert_finds(path, "five.io", NULL);
	assert_int_equal(setenv("XDG_CONFIG_HOME", "", 1), 0);
	assert_finds(path, "four.io", "DDDD");
	assert_finds(NULL, "one.io", NULL);
	assert_finds(unit_path(&d, "missing", other), "two.io", "BBBB");
	assert_int_equal(symlinkat("given", d.fd, "link"), 0);
	assert_finds(unit_path(&d, "link", other), "one.io", "AAAA");
	write_file(&d, "environment", "one.io", "BBBB");
	assert_finds(path, "one.io", "AAAA");
	assert_int_equal(unsetenv("REGISTRY_AUTH_FILE"), 0);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	assert_int_equal(unsetenv("CREDENTIALS_DIRECTORY"), 0);
	assert_int_equal(unsetenv("XDG_CONFIG_HOME"), 0);
	assert_int_equal(unsetenv("DOCKER_CONFIG"), 0);
	unit_dir_remove(&d);
}

/* A second call resumes the search after the file that was found. */
static void test_find_resumes(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE];
	struct credential c = {0};
	(void)state;
	unit_dir_make(&d);
	assert_int_equal(mkdirat(d.fd, ".docker", 0700), 0);
	write_file(&d, "given", "one.io", "AAAA");
	write_file(&d, ".docker/config.json", "one.io", "EEEE");
	assert_int_equal(setenv("HOME", d.path, 1), 0);
	struct credential_search s = {.auth_file = unit_path(&d, "given", path), .host = "one.io", .name = ""};
	assert_int_equal(credentials_find(&s, &c, NULL), 0);
	assert_string_equal(c.value.data, "AAAA");
	assert_int_equal(credentials_find(&s, &c, NULL), 0);
	assert_string_equal(c.value.data, "EEEE");
	assert_int_equal(credentials_find(&s, &c, NULL), -ENOENT);
	credential_wipe(&c);
	unit_dir_remove(&d);
}

static int find(const char *path, struct reason *why)
{
	struct credential c = {0};
	struct credential_search s = {.auth_file = path, .host = "a.io", .name = ""};
	int r = credentials_find(&s, &c, why);
	assert_int_equal(c.kind, CREDENTIAL_NONE);
	return r;
}

/* An unusable file is not skipped silently. */
static void test_find_bad(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE];
	struct reason why = {""};
	(void)state;
	unit_dir_make(&d);
	unit_write_text(&d, "bad", "{");
	assert_int_equal(find(unit_path(&d, "bad", path), &why), -EINVAL);
	assert_non_null(strstr(why.text, path));
	assert_int_equal(find(d.path, &why), -EINVAL);
	assert_int_equal(mkfifoat(d.fd, "fifo", 0600), 0);
	assert_int_equal(find(unit_path(&d, "fifo", path), &why), -EINVAL);
	unit_write_text(&d, "huge", "");
	assert_int_equal(truncate(unit_path(&d, "huge", path), CREDENTIALS_FILE_MAX + 1), 0);
	assert_int_equal(find(path, &why), -EFBIG);
	unit_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),          cmocka_unit_test(test_parse_none),
	    cmocka_unit_test(test_helper_servers), cmocka_unit_test(test_parse_helper),
	    cmocka_unit_test(test_find),           cmocka_unit_test(test_find_resumes),
	    cmocka_unit_test(test_find_bad),
	};
	return cmocka_run_group_tests_name("oci credentials", tests, NULL, NULL);
}
