/* SPDX-License-Identifier: Apache-2.0 */
/* certs.d: which directory counts for a host, and what in it. */

/* Own */
#include "tests/unit/unit_dir.h"

/* The code under test */
#include "fetchd/config/certs.h"

#define PEM "-----BEGIN CERTIFICATE-----"

static void make(const char *host)
{
	char path[FILE_PATH_SIZE];
	for (const char *at = strchr(host, '/'); at; at = strchr(at + 1, '/')) {
		(void)snprintf(path, sizeof(path), "%.*s", (int)(at - host), host);
		assert_true(mkdirat(dir.fd, path, 0700) == 0 || errno == EEXIST);
	}
	assert_int_equal(mkdirat(dir.fd, host, 0700), 0);
}

static void read_all(struct registries *rs)
{
	char first[FILE_PATH_SIZE], second[FILE_PATH_SIZE];
	const char *places[] = {unit_path(&dir, "first", first), unit_path(&dir, "second", second), "/does/not/exist"};
	certs_read_from(rs, places, LEN(places));
}

static const struct http_tls *tls_of(const struct registries *rs, const char *host)
{
	return &registries_find(rs, host)->tls;
}

static void test_authorities(void **state)
{
	(void)state;
	static struct registries rs;
	make("first/a.io:5000");
	make("second/a.io:5000");
	make("second/b.io");
	unit_write_text(&dir, "first/a.io:5000/2.crt", PEM "TWO");
	unit_write_text(&dir, "first/a.io:5000/1.crt", PEM "ONE");
	unit_write_text(&dir, "first/a.io:5000/.hidden.crt", "HIDDEN");
	unit_write_text(&dir, "first/a.io:5000/notes.txt", "NOTES");
	unit_write_text(&dir, "second/a.io:5000/3.crt", PEM "THREE");
	unit_write_text(&dir, "elsewhere", PEM "LINKED");
	assert_int_equal(symlinkat("../../elsewhere", dir.fd, "second/b.io/b.crt"), 0);
	read_all(&rs);
	assert_string_equal(tls_of(&rs, "a.io:5000")->ca_besides, PEM "ONE\n" PEM "TWO\n");
	assert_string_equal(tls_of(&rs, "b.io")->ca_besides, PEM "LINKED\n");
	assert_null(tls_of(&rs, "a.io:5000")->ca_file);
	assert_null(tls_of(&rs, "a.io:5000")->trouble);
	assert_null(tls_of(&rs, "a.io")->ca_besides);
	assert_false(registries_find(&rs, "b.io")->is_named);
}

static void test_client(void **state)
{
	(void)state;
	static struct registries rs;
	char path[FILE_PATH_SIZE];
	make("first/a.io");
	unit_write_text(&dir, "first/a.io/client.cert", "");
	unit_write_text(&dir, "first/a.io/client.key", "");
	unit_write_text(&dir, "first/a.io/other.cert", "");
	unit_write_text(&dir, "first/a.io/other.key", "");
	read_all(&rs);
	assert_string_equal(tls_of(&rs, "a.io")->client_cert, unit_path(&dir, "first/a.io/client.cert", path));
	assert_string_equal(tls_of(&rs, "a.io")->client_key, unit_path(&dir, "first/a.io/client.key", path));
	assert_null(tls_of(&rs, "a.io")->trouble);
}

/* Docker Hub has several names, and 443 is the port of https. */
static void test_spellings(void **state)
{
	(void)state;
	static struct registries rs;
	make("first/registry-1.docker.io");
	make("first/A.io:443");
	unit_write_text(&dir, "first/registry-1.docker.io/x.crt", PEM "HUB");
	unit_write_text(&dir, "first/A.io:443/x.crt", PEM "A");
	read_all(&rs);
	assert_string_equal(tls_of(&rs, "docker.io")->ca_besides, PEM "HUB\n");
	assert_string_equal(tls_of(&rs, "a.io")->ca_besides, PEM "A\n");
}

static void test_section_wins(void **state)
{
	(void)state;
	static struct registries rs;
	struct reason why;
	char own[FILE_PATH_SIZE];
	make("first/a.io");
	unit_write_text(&dir, "own.pem", "");
	unit_write_text(&dir, "first/a.io/x.crt", PEM "X");
	unit_write_text(&dir, "first/a.io/x.cert", "");
	unit_write_text(&dir, "first/a.io/x.key", "");
	unit_path(&dir, "own.pem", own);
	assert_int_equal(registries_set(&rs, "a.io", "ca_file", own, &why), 0);
	assert_int_equal(registries_set(&rs, "a.io", "client_cert", own, &why), 0);
	read_all(&rs);
	assert_string_equal(tls_of(&rs, "a.io")->ca_file, own);
	assert_null(tls_of(&rs, "a.io")->ca_besides);
	assert_string_equal(tls_of(&rs, "a.io")->client_cert, own);
	assert_null(tls_of(&rs, "a.io")->client_key);
}

/* What cannot be used is told by its name, and the rest counts. */
static void test_trouble(void **state)
{
	(void)state;
	static const struct {
		const char *host, *file, *told;
	} rows[] = {
	    {"a.io", "first/a.io/half.cert", "first/a.io/half.key': No such file or directory"},
	    {"b.io", "first/b.io/half.key", "first/b.io/half.cert': No such file or directory"},
	    {"d.io", "first/d.io/not.crt", "first/d.io/not.crt': it is not a certificate in PEM"},
	    {"c.io", "first/c.io/huge.crt", "first/c.io/huge.crt': File too large"},
	};
	static struct registries rs;
	char path[FILE_PATH_SIZE];
	make("first/a.io");
	make("first/b.io");
	make("first/c.io");
	make("first/d.io");
	for (size_t i = 0; i < LEN(rows); i++)
		unit_write_text(&dir, rows[i].file, "");
	assert_int_equal(truncate(unit_path(&dir, "first/c.io/huge.crt", path), CERTS_FILE_MAX + 1), 0);
	unit_write_text(&dir, "first/c.io/small.crt", PEM "SMALL");
	read_all(&rs);
	for (size_t i = 0; i < LEN(rows); i++) {
		assert_non_null(tls_of(&rs, rows[i].host)->trouble);
		assert_non_null(strstr(tls_of(&rs, rows[i].host)->trouble, rows[i].told));
		assert_null(tls_of(&rs, rows[i].host)->client_cert);
	}
	assert_string_equal(tls_of(&rs, "c.io")->ca_besides, PEM "SMALL\n");
}

/* A reload keeps no second copy of what did not change. */
static void test_again(void **state)
{
	(void)state;
	static struct registries once, twice;
	make("first/a.io");
	unit_write_text(&dir, "first/a.io/x.crt", PEM "SAME");
	read_all(&once);
	read_all(&twice);
	assert_ptr_equal(tls_of(&once, "a.io")->ca_besides, tls_of(&twice, "a.io")->ca_besides);
}

/* A name that is not a host's, and one more than there is room for. */
static void test_left_out(void **state)
{
	(void)state;
	static struct registries rs;
	struct reason why;
	char host[32];
	make("first/not a host");
	make("first/z.io");
	unit_write_text(&dir, "first/z.io/x.crt", PEM "Z");
	for (size_t i = 0; i < REGISTRIES_MAX; i++) {
		(void)snprintf(host, sizeof(host), "h%zu.io", i);
		assert_int_equal(registries_set(&rs, host, "plain_http", "no", &why), 0);
	}
	read_all(&rs);
	assert_int_equal(rs.len, REGISTRIES_MAX);
	assert_null(tls_of(&rs, "z.io")->ca_besides);
}

int main(void)
{
	assert_int_equal(unsetenv("SSL_CERT_FILE"), 0); /* that of whoever runs this */
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_authorities, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_client, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_spellings, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_section_wins, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_trouble, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_again, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_left_out, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("fetchd_config_certs", tests, NULL, NULL);
}
