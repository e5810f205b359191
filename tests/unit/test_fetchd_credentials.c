/* Passwords: the files' forms, whose they are, which file wins, and nothing that could forge a header. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/credentials.h"

#define JOE "am9lOnNlY3JldA==" /* joe:secret */

static void test_parse(void **state)
{
	static const struct {
		const char *text, *host;
		int r;
		const char *want;
	} rows[] = {
	    {"{\"auths\":{\"a.io\":{\"auth\":\"" JOE "\"}}}", "a.io", 0, "Basic " JOE},
	    {"{\"auths\":{\"a.io:5000\":{\"auth\":\"" JOE "\"}}}", "a.io:5000", 0, "Basic " JOE},
	    {"{\"auths\":{\"https://a.io/v1/\":{\"auth\":\"" JOE "\"}}}", "a.io", 0, "Basic " JOE},
	    {"{\"auths\":{\"https://index.docker.io/v1/\":{\"auth\":\"" JOE "\"}}}", "docker.io", 0, "Basic " JOE},
	    {"{\"auths\":{\"docker.io\":{\"auth\":\"" JOE "\"}}}", "docker.io", 0, "Basic " JOE},
	    {"{\"auths\":{\"a.io\":{\"username\":\"joe\",\"password\":\"secret\"}}}", "a.io", 0, "Basic " JOE},
	    {"{\"auths\":{\"a.io\":{\"username\":\"a\",\"password\":\"\"}}}", "a.io", 0, "Basic YTo="},
	    {"{\"auths\":{\"a.io\":{\"username\":\"ab\",\"password\":\"\"}}}", "a.io", 0, "Basic YWI6"},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"" JOE "\"}}}", "a.io:5000", -ENOENT, ""},
	    {"{\"auths\":{\"a.io:5000\":{\"auth\":\"" JOE "\"}}}", "a.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"" JOE "\"}}}", "b.a.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io.evil\":{\"auth\":\"" JOE "\"}}}", "a.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io/repo\":{\"auth\":\"" JOE "\"}}}", "a.io", -ENOENT, ""},
	    {"{\"auths\":{\"index\":{\"auth\":\"" JOE "\"}}}", "docker.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io\":{}}}", "a.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"\"}}}", "a.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":7}}}", "a.io", -ENOENT, ""},
	    {"{\"auths\":[]}", "a.io", -ENOENT, ""},
	    {"{}", "a.io", -ENOENT, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"am9l\\r\\nX: y\"}}}", "a.io", -EINVAL, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"joe:secret\"}}}", "a.io", -EINVAL, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"abc\"}}}", "a.io", -EINVAL, ""},
	    {"{\"auths\":{\"a.io\":{\"auth\":\"====\"}}}", "a.io", -EINVAL, ""},
	    {"nothing", "a.io", -EINVAL, ""},
	    {"", "a.io", -EINVAL, ""},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct buf value = BUF_INIT;
		struct reason why = {""};
		assert_int_equal(credentials_parse(span_str(rows[i].text), rows[i].host, &value, &why), rows[i].r);
		assert_string_equal(value.data ? value.data : "", rows[i].want);
		assert_int_equal(rows[i].r == -EINVAL, why.text[0] != '\0');
		assert_null(strstr(why.text, "secret")); /* no message repeats what it may not */
		credentials_wipe(&value);
		assert_null(value.data);
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
	struct buf value = BUF_INIT;
	assert_int_equal(credentials_find(auth_file, host, &value, NULL), want ? 0 : -ENOENT);
	if (want)
		assert_string_equal(value.data, want);
	credentials_wipe(&value);
}

/* The first file that has the host wins, not the first that is there. */
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
	write_file(&d, "environment", "two.io", "BBBB");
	write_file(&d, "containers/auth.json", "three.io", "CCCC");
	write_file(&d, ".config/containers/auth.json", "four.io", "DDDD");
	write_file(&d, ".docker/config.json", "five.io", "EEEE");
	assert_int_equal(setenv("REGISTRY_AUTH_FILE", unit_path(&d, "environment", path), 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", d.path, 1), 0);
	assert_int_equal(setenv("HOME", d.path, 1), 0);
	unit_path(&d, "given", path);
	assert_finds(path, "one.io", "Basic AAAA");
	assert_finds(path, "two.io", "Basic BBBB");
	assert_finds(path, "three.io", "Basic CCCC");
	assert_finds(path, "four.io", "Basic DDDD");
	assert_finds(path, "five.io", "Basic EEEE");
	assert_finds(path, "six.io", NULL);
	assert_finds(NULL, "one.io", NULL);
	assert_finds(unit_path(&d, "missing", other), "two.io", "Basic BBBB");
	assert_int_equal(symlinkat("given", d.fd, "link"), 0);
	assert_finds(unit_path(&d, "link", other), "one.io", "Basic AAAA");
	write_file(&d, "environment", "one.io", "BBBB");
	assert_finds(path, "one.io", "Basic AAAA");
	assert_int_equal(unsetenv("REGISTRY_AUTH_FILE"), 0);
	assert_int_equal(unsetenv("XDG_RUNTIME_DIR"), 0);
	unit_dir_remove(&d);
}

/* A file that is there and of no use is not passed over in silence. */
static void test_find_bad(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE];
	struct buf value = BUF_INIT;
	struct reason why = {""};
	(void)state;
	unit_dir_make(&d);
	unit_write_text(&d, "bad", "{");
	assert_int_equal(credentials_find(unit_path(&d, "bad", path), "a.io", &value, &why), -EINVAL);
	assert_non_null(strstr(why.text, path));
	assert_int_equal(credentials_find(d.path, "a.io", &value, &why), -EINVAL);
	assert_int_equal(mkfifoat(d.fd, "fifo", 0600), 0);
	assert_int_equal(credentials_find(unit_path(&d, "fifo", path), "a.io", &value, &why), -EINVAL);
	unit_write_text(&d, "huge", "");
	assert_int_equal(truncate(unit_path(&d, "huge", path), CREDENTIALS_FILE_MAX + 1), 0);
	assert_int_equal(credentials_find(path, "a.io", &value, &why), -EFBIG);
	credentials_wipe(&value);
	unit_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parse),
	    cmocka_unit_test(test_find),
	    cmocka_unit_test(test_find_bad),
	};
	return cmocka_run_group_tests_name("fetchd credentials", tests, NULL, NULL);
}
