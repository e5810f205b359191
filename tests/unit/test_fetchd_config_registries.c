/* SPDX-License-Identifier: Apache-2.0 */
/* Sections of single registries: files are merged key by key, and every error names file and line. */

/* System */
#include <sys/stat.h>

/* Own */
#include "tests/unit/fetchd_settings.h"

static struct unit_dir d;
static char line[FILE_PATH_SIZE + 64];
static struct settings s;

static int set_up(void **state)
{
	char path[FILE_PATH_SIZE];
	(void)state;
	unit_dir_make(&d);
	assert_int_equal(mkdirat(d.fd, "registries.d", 0755), 0);
	(void)snprintf(line, sizeof(line), "--config=%s", unit_path(&d, "conf", path));
	unit_write_text(&d, "conf", "");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	unit_dir_remove(&d);
	return 0;
}

static int load(struct reason *why)
{
	why->text[0] = '\0';
	return unit_settings(line, &s, why);
}

static void load_well(void)
{
	struct reason why;
	if (load(&why) < 0)
		fail_msg("%s", why.text);
}

static void load_badly(const char *file, unsigned at, const char *subject)
{
	struct reason why;
	char want[256];
	assert_int_equal(load(&why), -EBADMSG);
	(void)snprintf(want, sizeof(want), "%s' line %u: ", file, at);
	if (!strstr(why.text, want) || !strstr(why.text, subject))
		fail_msg("'%s' and '%s' are not in: %s", want, subject, why.text);
}

static void test_last_value_wins(void **state)
{
	(void)state;
	unit_write_text(
	    &d, "conf",
	    "[fetchd]\nmax_retries = 7\n[registry a.io]\nmax_retries = 1\nconnections = 2\nretry_delay = 3s\n");
	unit_write_text(&d, "registries.d/20.conf",
			"[registry a.io]\nconnections = 20\n[registry b.io]\nplain_http = yes\n");
	unit_write_text(&d, "registries.d/10.conf", "[registry a.io]\nconnections = 10\nretry_after_max = 2h\n");
	unit_write_text(&d, "registries.d/30.conf.bak", "nonsense");
	unit_write_text(&d, "registries.d/.40.conf", "nonsense");
	load_well();
	assert_int_equal(unit_policy(&s, "a.io").host.connections, 20);
	assert_int_equal(unit_policy(&s, "b.io").host.connections, 8);
	assert_int_equal(unit_policy(&s, "b.io").plain_http, PLAIN_HTTP_YES);
	struct retry_settings own = unit_policy(&s, "a.io").host.retry, all = unit_policy(&s, "b.io").host.retry;
	assert_int_equal(own.max, 1);
	assert_int_equal(own.delay_ms, 3000);
	assert_int_equal(own.delay_max_ms, 30000);
	assert_int_equal(own.after_max_ms, 7200000);
	assert_int_equal(all.max, 7);
	assert_int_equal(all.delay_ms, 1000);
	assert_int_equal(all.after_max_ms, 600000);

	/* read again: removed keys have their defaults again */
	assert_int_equal(unlinkat(d.fd, "registries.d/20.conf", 0), 0);
	load_well();
	assert_int_equal(unit_policy(&s, "a.io").host.connections, 10);
	assert_int_equal(unit_policy(&s, "b.io").plain_http, PLAIN_HTTP_UNSET);
}

/* The host of a plain URL may be one that a reference cannot have. */
static void test_host_of_a_url(void **state)
{
	(void)state;
	unit_write_text(&d, "conf", "[registry my_host.internal]\nplain_http = yes\n");
	load_well();
	assert_int_equal(registries_find(&s.registries, "my_host.internal")->plain_http, PLAIN_HTTP_YES);
}

/* The last file with a list wins. */
static void test_lists(void **state)
{
	struct http_ask ask;
	struct policy p;
	(void)state;
	unit_write_text(&d, "conf",
			"[registry a.io]\nmirror = https://m0.io\nmirror = https://m1.io:5000\nheader = X-One: 1\n");
	load_well();
	assert_string_equal(policy_mirror(&s, "a.io", 1), "https://m1.io:5000");
	unit_write_text(
	    &d, "registries.d/10.conf",
	    "[registry a.io]\nmirror = https://m2.io\nmirror = https://m3.io\n[registry b.io]\nheader = X: y\n");
	unit_write_text(&d, "registries.d/20.conf",
			"[registry a.io]\nheader = X-Two:  two words\nheader = X-Three: 3\n");
	load_well();
	assert_string_equal(policy_mirror(&s, "a.io", 0), "https://m2.io");
	assert_string_equal(policy_mirror(&s, "a.io", 1), "https://m3.io");
	assert_null(policy_mirror(&s, "a.io", 2));
	assert_null(policy_mirror(&s, "b.io", 0));
	p = unit_policy(&s, "a.io");
	policy_fill(&p, &ask);
	assert_int_equal(ask.headers_len, 2);
	assert_string_equal(ask.headers[0], "X-Two:  two words");
	assert_string_equal(ask.headers[1], "X-Three: 3");
	p = unit_policy(&s, "c.io");
	policy_fill(&p, &ask);
	assert_int_equal(ask.headers_len, 0);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *subject;
	} rows[] = {
	    {"[registry a.io]\nnothing = 1\n", 2, "nothing"},
	    {"[registry a.io]\n\nplain_http = maybe\n", 3, "maybe"},
	    {"[registry a.io]\nmax_retries = -1\n", 2, "-1"},
	    {"[registry a.io]\nconnections = 0\n", 2, "connections"},
	    {"[registry a.io]\nconnections = 65\n", 2, "connections"},
	    {"[registry a.io]\nstall_timeout = 0\n", 2, "stall_timeout"},
	    {"[registry a.io]\nca_file = /does/not/exist\n", 2, "/does/not/exist"},
	    {"[registry a.io]\nmirror = m.io\n", 2, "m.io"},
	    {"[registry a.io]\nmirror = https://m.io/path?x\n", 2, "https://m.io/path"},
	    {"[registry a.io]\nmirror = https://m.io/path#x\n", 2, "https://m.io/path"},
	    {"[registry a.io]\nmirror = https://m.io/a/../b\n", 2, "https://m.io/a/../b"},
	    {"[registry a.io]\nmirror = https://m.io/a%2f\n", 2, "https://m.io/a%2f"},
	    {"[registry *]\nplain_http = yes\n", 2, "[registry *]"},
	    {"[registry _default]\nplain_http = yes\n", 2, "[registry _default]"},
	    {"[registry *.a.io]\nplain_http = yes\n", 2, "HOST"},
	    {"[registry a.io]\nmirror = https://u:p@m.io\n", 2, "credentials"},
	    {"[registry a.io]\nheader = nothing\n", 2, "Name: value"},
	    {"[registry a.io]\nheader = X y: z\n", 2, "Name: value"},
	    {"[registry a.io]\nheader = X-Empty:\n", 2, "X-Empty"},
	    {"[registry a.io]\nheader = authorization: Bearer canary\n", 2, "auth file"},
	    {"[registry a.io]\nheader = Proxy-Authorization: canary\n", 2, "auth file"},
	    {"[registry a.io]\nheader = Range: bytes=0-\n", 2, "Range"},
	    {"[registry a.io]\nheader = X: canary\001\n", 2, "control byte"},
	    {"[registry https://a.io]\nplain_http = yes\n", 2, "HOST"},
	    {"[registry ]\nplain_http = yes\n", 2, "HOST"},
	    {"[fetchd]\nmax_retries = 1\n", 2, "[fetchd]"},
	    {"plain_http = yes\n", 1, "[registry HOST]"},
	    {"nonsense\n", 1, "section"},
	};
	struct reason why;
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		unit_write_text(&d, "registries.d/x.conf", rows[i].text);
		load_badly("registries.d/x.conf", rows[i].line, rows[i].subject);
		(void)load(&why);
		assert_null(strstr(why.text, "canary"));
	}
	unit_write_text(&d, "registries.d/x.conf", "");
	assert_int_equal(mkdirat(d.fd, "registries.d/y.conf", 0755), 0);
	assert_int_equal(load(&why), -EISDIR);
	assert_non_null(strstr(why.text, "registries.d/y.conf"));
}

/* The maximum, and one more. */
static void test_limits(void **state)
{
	char text[REGISTRIES_MAX * 64] = "[registry a.io]\n";
	size_t len = strlen(text);
	(void)state;
	for (int i = 0; i < MIRRORS_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "mirror = https://m%d.io:5000\n", i);
	for (int i = 0; i < REGISTRY_HEADERS; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "header = X-%d: y\n", i);
	unit_write_text(&d, "conf", text);
	load_well();
	assert_string_equal(policy_mirror(&s, "a.io", MIRRORS_MAX - 1), "https://m7.io:5000");
	(void)snprintf(text + len, sizeof(text) - len, "mirror = https://more.io\n");
	unit_write_text(&d, "conf", text);
	load_badly("conf", MIRRORS_MAX + REGISTRY_HEADERS + 2, "mirrors");
	(void)snprintf(text + len, sizeof(text) - len, "header = More: y\n");
	unit_write_text(&d, "conf", text);
	load_badly("conf", MIRRORS_MAX + REGISTRY_HEADERS + 2, "headers");
	len = 0;
	for (int i = 0; i < REGISTRIES_MAX; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, "[registry h%d]\nplain_http=yes\n", i);
	unit_write_text(&d, "conf", text);
	load_well();
	(void)snprintf(text + len, sizeof(text) - len, "[registry more]\nplain_http=yes\n");
	unit_write_text(&d, "conf", text);
	load_badly("conf", 2 * REGISTRIES_MAX + 2, "registries");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_last_value_wins, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_lists, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_host_of_a_url, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_mistakes, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_limits, set_up, tear_down),
	};
	return cmocka_run_group_tests_name("fetchd config registries", tests, NULL, NULL);
}
