/* SPDX-License-Identifier: Apache-2.0 */
/* Settings: where each value comes from, and which one wins. */

/* Own */
#include "tests/unit/fetchd_settings.h"

static struct settings s;

static int load_simply(const char *line)
{
	struct reason why = {""};
	int r = unit_settings(line, &s, &why);
	assert_int_equal(r < 0, why.text[0] != '\0');
	return r;
}

static void test_defaults(void **state)
{
	(void)state;
	assert_int_equal(load_simply(""), 0);
	assert_string_equal(s.runtime_dir, "/run/sluice");
	assert_int_equal(s.all.retry.max, 8);
	assert_int_equal(s.all.retry.delay_ms, 1000);
	assert_int_equal(s.all.retry.delay_max_ms, 30000);
	assert_int_equal(s.all.connect_timeout_ms, 15000);
	assert_int_equal(s.all.stall_timeout_ms, 30000);
	assert_int_equal(s.all.connections, 8);
	assert_int_equal(s.all.retry.after_max_ms, 600000);
	assert_int_equal(s.all.ranges.count, 8);
	assert_int_equal(s.all.ranges.size, 0);
	assert_int_equal(s.all.ranges.min, 16 << 20);
	assert_int_equal(s.bandwidth, 0);
	assert_int_equal(s.all.speed.per_host, 0);
	assert_int_equal(s.all.speed.per_transfer, 0);
	assert_int_equal(s.all.speed.min, 1024);
	assert_int_equal(s.all.speed.min_ms, 60000);
	assert_int_equal(unit_policy(&s, "a.io").plain_http, PLAIN_HTTP_UNSET);
}

static void test_get(void **state)
{
	(void)state;
	assert_int_equal(load_simply("--max-retries 2 get --offset 17 --raw http://x/ --size=18"), 0);
	assert_int_equal(s.offset, 17);
	assert_string_equal(s.size, "18");
	assert_true(s.raw);
	assert_int_equal(s.all.retry.max, 2);
}

static void test_file(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE], line[FILE_PATH_SIZE + 64];
	(void)state;
	unit_dir_make(&d);
	unit_write_text(
	    &d, "conf",
	    "[sluice]\nanything = goes\n[fetchd]\nmax_retries = 3\nretry_delay = 50ms\nruntime_dir = /here\n"
	    "[registry a.io]\nplain_http = yes\n[registry [::1]:5000]\nplain_http = no\n");
	(void)snprintf(line, sizeof(line), "--config %s --retry-delay 70ms", unit_path(&d, "conf", path));
	assert_int_equal(load_simply(line), 0);
	assert_int_equal(s.all.retry.max, 3);
	assert_int_equal(s.all.retry.delay_ms, 70);
	assert_string_equal(s.runtime_dir, "/here");
	assert_int_equal(unit_policy(&s, "a.io").plain_http, PLAIN_HTTP_YES);
	assert_int_equal(unit_policy(&s, "[::1]:5000").plain_http, PLAIN_HTTP_NO);
	assert_int_equal(unit_policy(&s, "b.io").plain_http, PLAIN_HTTP_UNSET);

	/* the environment wins over the file, the command line over both; the file may be named by the environment */
	assert_int_equal(setenv("SLUICE_RUNTIME_DIR", "/there", 1), 0);
	assert_int_equal(setenv("SLUICE_CONFIG", path, 1), 0);
	assert_int_equal(load_simply(""), 0);
	assert_string_equal(s.runtime_dir, "/there");
	assert_int_equal(s.all.retry.max, 3);
	assert_int_equal(load_simply("--runtime-dir /mine"), 0);
	assert_string_equal(s.runtime_dir, "/mine");

	/* read again: a key that was removed from the file has its default again */
	unit_write_text(&d, "conf", "[fetchd]\nretry_delay = 50ms\n");
	assert_int_equal(load_simply(""), 0);
	assert_int_equal(s.all.retry.max, 8);
	assert_int_equal(unit_policy(&s, "a.io").plain_http, PLAIN_HTTP_UNSET);
	assert_int_equal(unsetenv("SLUICE_RUNTIME_DIR"), 0);
	assert_int_equal(setenv("SLUICE_CONFIG", "/dev/null", 1), 0);
	unit_dir_remove(&d);
}

/* An error on the command line is a usage error, an error in the file is not. */
static void test_refusals(void **state)
{
	static const char *const lines[] = {
	    "--max-retries",
	    "--max-retries x",
	    "--retry-delay 0",
	    "--connections-per-host 0",
	    "--connections-per-host 65",
	    "--nothing",
	    "--log-level loud",
	    "--offset -1",
	};
	static const char *const files[] = {
	    "[fetchd]\nmax_retries = x\n",     "[fetchd]\nnothing = 1\n",
	    "[fetchd]\nconfig = x\n",          "[fetchd]\noffset = 1\n",
	    "[registry a.io]\nx = 1\n",        "[registry a.io]\nplain_http = maybe\n",
	    "[registry ]\nplain_http = yes\n", "nonsense\n",
	};
	struct unit_dir d;
	char path[FILE_PATH_SIZE], line[FILE_PATH_SIZE + 64];
	(void)state;
	for (size_t i = 0; i < LEN(lines); i++)
		assert_int_equal(load_simply(lines[i]), -EINVAL);
	unit_dir_make(&d);
	(void)snprintf(line, sizeof(line), "--config %s", unit_path(&d, "conf", path));
	assert_int_equal(load_simply(line), -EBADMSG);
	for (size_t i = 0; i < LEN(files); i++) {
		unit_write_text(&d, "conf", files[i]);
		assert_int_equal(load_simply(line), -EBADMSG);
	}
	unit_dir_remove(&d);
}

/* The first byte: by default, by what is set for it, and by a shorter stall_timeout. */
static void test_first_byte(void **state)
{
	static const uint64_t want_s[] = {600, 29, 2, 660, 120, 600};
	struct unit_dir d;
	char path[FILE_PATH_SIZE], line[FILE_PATH_SIZE + 64];
	(void)state;
	unit_dir_make(&d);
	unit_write_text(
	    &d, "conf",
	    "[registry a.io]\nstall_timeout = 30s\n[registry b.io]\nstall_timeout = 29s\n[registry c.io]\n"
	    "answer_timeout = 2s\n[registry d.io]\nstall_timeout = 11m\n[registry e.io]\nstall_timeout = 1s\n"
	    "answer_timeout = 2m\n");
	(void)snprintf(line, sizeof(line), "--config %s", unit_path(&d, "conf", path));
	assert_int_equal(load_simply(line), 0);
	for (size_t i = 0; i < LEN(want_s); i++) {
		const char host[] = {(char)('a' + (int)i), '.', 'i', 'o', '\0'};
		struct http_ask ask;
		struct policy p = unit_policy(&s, host);
		policy_fill(&p, &ask);
		assert_int_equal(ask.patience.answer_ms, 1000 * want_s[i]);
	}
	unit_dir_remove(&d);
}

static void test_registry(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE], ca[FILE_PATH_SIZE], line[FILE_PATH_SIZE + 64], text[4 * FILE_PATH_SIZE];
	struct http_ask ask;
	struct policy p;
	(void)state;
	unit_dir_make(&d);
	unit_write_text(&d, "ca.pem", "");
	unit_path(&d, "ca.pem", ca);
	(void)snprintf(text, sizeof(text),
		       "[fetchd]\nstall_timeout = 7s\n[registry a.io]\nca_file = %s\nclient_cert = %s\n"
		       "client_key = %s\nconnect_timeout = 3s\n[registry b.io]\nskip_verify = yes\n",
		       ca, ca, ca);
	unit_write_text(&d, "conf", text);
	(void)snprintf(line, sizeof(line), "--config %s", unit_path(&d, "conf", path));
	assert_int_equal(load_simply(line), 0);
	p = unit_policy(&s, "a.io");
	policy_fill(&p, &ask);
	assert_string_equal(ask.tls->ca_file, ca);
	assert_string_equal(ask.tls->client_cert, ca);
	assert_string_equal(ask.tls->client_key, ca);
	assert_false(ask.tls->skip_verify);
	assert_int_equal(ask.connect_timeout_ms, 3000);
	assert_int_equal(ask.patience.stall_ms, 7000);
	assert_int_equal(unit_policy(&s, "a.io").plain_http, PLAIN_HTTP_NO); /* TLS is meant */
	p = unit_policy(&s, "b.io");
	policy_fill(&p, &ask);
	assert_int_equal(p.plain_http, PLAIN_HTTP_NO);
	assert_true(ask.tls->skip_verify);
	p = unit_policy(&s, "c.io");
	policy_fill(&p, &ask);
	assert_int_equal(p.plain_http, PLAIN_HTTP_UNSET);
	assert_null(ask.tls->ca_file);
	assert_false(ask.tls->skip_verify);
	assert_int_equal(ask.connect_timeout_ms, 15000);
	assert_ptr_equal(registries_find(&s.registries, "c.io"), &registry_unsaid);

	/* What is in no section of ours would have no effect. */
	static const char *const misplaced[] = {"max_retries = 3\n", "[registry]\nplain_http = yes\n",
						"[registries a.io]\nplain_http = yes\n", "[Fetchd]\nranges = 1\n"};
	for (size_t i = 0; i < LEN(misplaced); i++) {
		unit_write_text(&d, "conf", misplaced[i]);
		assert_int_equal(load_simply(line), -EBADMSG);
	}
	/* A file that is unreadable or missing its other half is reported at once. */
	unit_write_text(&d, "conf", "[registry a.io]\nca_file = /does/not/exist\n");
	assert_int_equal(load_simply(line), -EBADMSG);
	(void)snprintf(text, sizeof(text), "[registry a.io]\nclient_key = %s\n", ca);
	unit_write_text(&d, "conf", text);
	assert_int_equal(load_simply(line), -EBADMSG);
	unit_dir_remove(&d);
}

/* Numbers that a registry's section sets, down to 0, and those that it inherits. */
static void test_numbers(void **state)
{
	struct unit_dir d;
	char path[FILE_PATH_SIZE], line[FILE_PATH_SIZE + 64];
	struct http_ask ask;
	struct policy p;
	(void)state;
	unit_dir_make(&d);
	unit_write_text(&d, "conf",
			"[fetchd]\nranges = 4\nbandwidth = 10M\nhost_bandwidth = 5M\n"
			"[registry a.io]\nrange_size = 1M\nbandwidth = 0\nmin_speed = 0\n"
			"[registry b.io]\nranges = 1\ntransfer_bandwidth = 2M\nmin_speed_time = 5s\n");
	(void)snprintf(line, sizeof(line), "--config %s --range-min 1M", unit_path(&d, "conf", path));
	assert_int_equal(load_simply(line), 0);
	assert_int_equal(s.bandwidth, 10 << 20);
	assert_int_equal(unit_policy(&s, "a.io").host.ranges.count, 4);
	assert_int_equal(unit_policy(&s, "a.io").host.ranges.size, 1 << 20);
	assert_int_equal(unit_policy(&s, "a.io").host.ranges.min, 1 << 20);
	assert_int_equal(unit_policy(&s, "b.io").host.ranges.count, 1);
	assert_int_equal(unit_policy(&s, "c.io").host.ranges.size, 0);
	assert_int_equal(unit_policy(&s, "a.io").host.speed.per_host, 0);
	assert_int_equal(unit_policy(&s, "a.io").host.speed.min, 0);
	assert_int_equal(unit_policy(&s, "b.io").host.speed.per_host, 5 << 20);
	assert_int_equal(unit_policy(&s, "b.io").host.speed.per_transfer, 2 << 20);
	assert_int_equal(unit_policy(&s, "c.io").host.speed.per_transfer, 0);
	p = unit_policy(&s, "b.io");
	policy_fill(&p, &ask);
	assert_int_equal(ask.patience.min_speed, 1024);
	assert_int_equal(ask.patience.min_speed_ms, 5000);
	p = unit_policy(&s, "a.io");
	policy_fill(&p, &ask);
	assert_int_equal(ask.patience.min_speed, 0);
	unit_write_text(&d, "conf", "[registry a.io]\nranges = 65\n");
	assert_int_equal(load_simply(line), -EBADMSG);
	unit_write_text(&d, "conf", "[registry a.io]\nrange_size = 1K\n");
	assert_int_equal(load_simply(line), -EBADMSG);
	unit_dir_remove(&d);
}

int main(void)
{
	assert_int_equal(setenv("SLUICE_CONFIG", "/dev/null", 1), 0); /* not that of whoever runs this */
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_defaults), cmocka_unit_test(test_get),        cmocka_unit_test(test_file),
	    cmocka_unit_test(test_refusals), cmocka_unit_test(test_first_byte), cmocka_unit_test(test_registry),
	    cmocka_unit_test(test_numbers),

	};
	return cmocka_run_group_tests_name("fetchd config settings", tests, NULL, NULL);
}
