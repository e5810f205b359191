/* SPDX-License-Identifier: Apache-2.0 */
/* The route to a source: the order of sites, their URLs, and where redirects lead. */

/* Own */
#include "tests/unit/fetchd_settings.h"

/* The code under test */
#include "fetchd/route.h"

#define DIGEST "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static void test_registry_url(void **state)
{
	static const struct {
		const char *source;
		enum plain_http plain;
		const char *want;
	} rows[] = {
	    {"manifest://docker.io/library/alpine:3.19", PLAIN_HTTP_UNSET,
	     "https://registry-1.docker.io/v2/library/alpine/manifests/3.19"},
	    {"blob://ghcr.io/a/b/c@" DIGEST, PLAIN_HTTP_UNSET, "https://ghcr.io/v2/a/b/c/blobs/" DIGEST},
	    {"manifest://ghcr.io/a@" DIGEST, PLAIN_HTTP_UNSET, "https://ghcr.io/v2/a/manifests/" DIGEST},
	    {"manifest://localhost:5000/a:b", PLAIN_HTTP_UNSET, "http://localhost:5000/v2/a/manifests/b"},
	    {"manifest://127.0.0.1:5000/a:b", PLAIN_HTTP_UNSET, "http://127.0.0.1:5000/v2/a/manifests/b"},
	    {"manifest://localhost:5000/a:b", PLAIN_HTTP_NO, "https://localhost:5000/v2/a/manifests/b"},
	    {"manifest://ghcr.io/a:b", PLAIN_HTTP_YES, "http://ghcr.io/v2/a/manifests/b"},
	    {"http://example.com/x?y=z#part", PLAIN_HTTP_NO, "http://example.com/x?y=z"},
	    {"https://example.com/x", PLAIN_HTTP_YES, "https://example.com/x"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct source s;
		struct buf url = BUF_INIT;
		assert_int_equal(source_parse(span_str(rows[i].source), &s, NULL), 0);
		assert_int_equal(route_registry_url(&s, rows[i].plain, &url), 0);
		assert_string_equal(url.data, rows[i].want);
		buf_release(&url);
	}
}

static void test_mirror_url(void **state)
{
	static const struct {
		const char *source, *mirror, *want;
	} rows[] = {
	    {"manifest://docker.io/library/alpine:3.19", "https://m.io",
	     "https://m.io/v2/library/alpine/manifests/3.19?ns=docker.io"},
	    {"manifest://docker.io/library/alpine:3.19", "https://m.io:5000/",
	     "https://m.io:5000/v2/library/alpine/manifests/3.19?ns=docker.io"},
	    {"blob://localhost:5000/a@" DIGEST, "http://m.io/v2",
	     "http://m.io/v2/a/blobs/" DIGEST "?ns=localhost%3A5000"},
	    {"blob://[::1]:5000/a@" DIGEST, "http://m.io/v2/",
	     "http://m.io/v2/a/blobs/" DIGEST "?ns=%5B%3A%3A1%5D%3A5000"},
	    {"manifest://a.io/b/c:t", "https://m.io/v2/proxy", "https://m.io/v2/proxy/b/c/manifests/t?ns=a.io"},
	    {"manifest://a.io/b/c:t", "https://m.io/proxy/a.io/", "https://m.io/v2/proxy/a.io/b/c/manifests/t?ns=a.io"},
	    {"manifest://a.io/b/c:t", "https://m.io/v2x", "https://m.io/v2/v2x/b/c/manifests/t?ns=a.io"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct source s;
		struct buf url = BUF_INIT;
		assert_int_equal(source_parse(span_str(rows[i].source), &s, NULL), 0);
		assert_int_equal(route_mirror_url(&s, rows[i].mirror, &url), 0);
		assert_string_equal(url.data, rows[i].want);
		buf_release(&url);
	}
}

static void test_accept(void **state)
{
	(void)state;
	assert_string_equal(route_accept(SOURCE_BLOB), "*/*");
	assert_string_equal(route_accept(SOURCE_URL), "*/*");
	assert_non_null(strstr(route_accept(SOURCE_MANIFEST), "application/vnd.oci.image.index.v1+json"));
	assert_non_null(strstr(route_accept(SOURCE_MANIFEST), "application/vnd.docker.distribution.manifest.v2+json"));
	assert_non_null(strstr(route_accept(SOURCE_MANIFEST), "*/*"));
}

static struct settings s;

/* A registry with two mirrors, one of which has its own section, and other settings that differ from the defaults. */
static int set_up(void **state)
{
	struct unit_dir d;
	struct reason why;
	char path[FILE_PATH_SIZE], words[FILE_PATH_SIZE + 16];
	(void)state;
	unit_dir_make(&d);
	unit_write_text(
	    &d, "conf",
	    "[registry reg.io]\nmirror = http://m0.io:5000\nmirror = https://m1.io\nheader = X-Ours: 1\n"
	    "connections = 3\n[registry m0.io:5000]\nconnections = 2\n[registry cdn.io]\nmin_speed = 7\n"
	    "header = X-Cdn: 1\n[registry plain.io]\nplain_http = yes\n"
	    "[registry localhost:5443]\nca_file = /etc/hosts\n[registry localhost:5444]\nskip_verify = yes\n"
	    "[registry localhost:5445]\nca_file = /etc/hosts\nplain_http = yes\n[registry named.io:5000]\nplain_http = "
	    "yes\n[registry 10.255.0.2:5000]\nplain_http = yes\n");
	(void)snprintf(words, sizeof(words), "--config=%s", unit_path(&d, "conf", path));
	assert_int_equal(unit_settings(words, &s, &why), 0);
	unit_dir_remove(&d);
	return 0;
}

static void begin(struct route *r, const char *source, uint32_t suspects)
{
	struct reason why;
	memset(r, 0, sizeof(*r));
	assert_int_equal(route_init(r, span_str(source), NULL), 0);
	assert_int_equal(route_plan(r, &s, suspects, &why), 0);
	assert_int_equal(route_enter(r, &s, "", &why), 0);
	assert_int_equal(route_restart(r, &s), 0);
}

static void test_sources(void **state)
{
	static const struct {
		const char *source, *registry, *name, *host, *url;
		enum source_kind kind;
		bool by_tag;
	} rows[] = {
	    {"http://a.io:81/x?y", "", "", "a.io:81", "http://a.io:81/x?y", SOURCE_URL, false},
	    {"manifest://plain.io/a/b:c", "plain.io", "a/b", "plain.io", "http://plain.io/v2/a/b/manifests/c",
	     SOURCE_MANIFEST, true},
	    {"manifest://b.io/a@" DIGEST, "b.io", "a", "b.io", "https://b.io/v2/a/manifests/" DIGEST, SOURCE_MANIFEST,
	     false},
	    {"manifest://localhost:5443/a:b", "localhost:5443", "a", "localhost:5443",
	     "https://localhost:5443/v2/a/manifests/b", SOURCE_MANIFEST, true},
	    {"manifest://localhost:5444/a:b", "localhost:5444", "a", "localhost:5444",
	     "https://localhost:5444/v2/a/manifests/b", SOURCE_MANIFEST, true},
	    {"manifest://localhost:5445/a:b", "localhost:5445", "a", "localhost:5445",
	     "http://localhost:5445/v2/a/manifests/b", SOURCE_MANIFEST, true},
	    {"blob://docker.io/a/b@" DIGEST, "docker.io", "a/b", "docker.io",
	     "https://registry-1.docker.io/v2/a/b/blobs/" DIGEST, SOURCE_BLOB, false},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct route r;
		begin(&r, rows[i].source, 0);
		assert_string_equal(r.registry, rows[i].registry);
		assert_string_equal(r.name, rows[i].name);
		assert_string_equal(r.host, rows[i].host);
		assert_string_equal(r.url.data, rows[i].url);
		assert_int_equal(r.kind, rows[i].kind);
		assert_int_equal(r.by_tag, rows[i].by_tag);
		assert_int_equal(r.sites_len, 1);
		assert_true(route_is_home(&r));
		assert_int_equal(route_nearest(&r, &s), ZONE_ANY);
		assert_false(route_next_site(&r));
		assert_false(route_first_site(&r));
		route_release(&r);
	}
}

static void test_bad_sources(void **state)
{
	static const char *const rows[] = {"", "ftp://a.io/x", "http://user@a.io/", "blob://a.io/b:c", "manifest://"};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct route r = {0};
		struct reason why = {""};
		assert_int_equal(route_init(&r, span_str(rows[i]), NULL), 0);
		int error = route_plan(&r, &s, 0, &why);
		if (error == 0)
			error = route_enter(&r, &s, "", &why);
		assert_int_equal(error, -EINVAL);
		assert_string_not_equal(why.text, "");
		route_release(&r);
	}
}

/* The mirrors, then the registry. A suspect comes last. */
static void test_order_of_sites(void **state)
{
	static const struct {
		uint32_t suspects;
		const char *want[3];
	} rows[] = {
	    {0, {"m0.io:5000", "m1.io", "reg.io"}},
	    {1, {"m1.io", "reg.io", "m0.io:5000"}},
	    {2, {"m0.io:5000", "reg.io", "m1.io"}},
	    {3, {"reg.io", "m0.io:5000", "m1.io"}},
	    {1u << SITE_REGISTRY, {"m0.io:5000", "m1.io", "reg.io"}},
	    {1u << SITE_REGISTRY | 3, {"m0.io:5000", "m1.io", "reg.io"}},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct route r;
		uint32_t seen = 0;
		begin(&r, "manifest://reg.io/a:b", rows[i].suspects);
		assert_int_equal(r.sites_len, 3);
		for (size_t k = 0; k < 3; k++) {
			assert_string_equal(r.host, rows[i].want[k]);
			seen |= route_site_bit(&r);
			assert_int_equal(route_next_site(&r), k < 2);
			assert_int_equal(route_enter(&r, &s, "", NULL), 0);
		}
		assert_int_equal(seen, 3 | 1u << SITE_REGISTRY);
		assert_true(route_first_site(&r));
		route_release(&r);
	}
}

/* Each site has its own settings. A resolved tag is requested by digest. */
static void test_sites(void **state)
{
	struct route r;
	struct http_ask ask = {0};
	(void)state;
	begin(&r, "manifest://reg.io/a:b", 0);
	assert_string_equal(r.url.data, "http://m0.io:5000/v2/a/manifests/b?ns=reg.io");
	assert_int_equal(r.policy.host.connections, 2);
	route_fill(&r, &s, &ask);
	assert_int_equal(ask.headers_len, 0);
	assert_int_equal(ask.patience.answer_ms, ask.patience.stall_ms); /* there is another */
	assert_true(route_next_site(&r) && route_next_site(&r));
	assert_int_equal(route_enter(&r, &s, DIGEST, NULL), 0);
	assert_int_equal(route_restart(&r, &s), 0);
	assert_string_equal(r.url.data, "https://reg.io/v2/a/manifests/" DIGEST);
	assert_int_equal(r.policy.host.connections, 3);
	route_fill(&r, &s, &ask);
	assert_int_equal(ask.headers_len, 1);
	assert_string_equal(ask.headers[0], "X-Ours: 1");
	assert_true(ask.patience.answer_ms > ask.patience.stall_ms);
	assert_string_equal(ask.url, r.url.data);
	route_release(&r);
}

static struct terms_table table;

static void begin_under(struct route *r, const char *source, struct span policy)
{
	struct reason why;
	struct terms *terms;
	memset(r, 0, sizeof(*r));
	assert_int_equal(terms_take(&table, policy, &terms), 0);
	assert_int_equal(route_init(r, span_str(source), terms), 0);
	assert_int_equal(route_plan(r, &s, 0, &why), 0);
	assert_int_equal(route_enter(r, &s, "", &why), 0);
	assert_int_equal(route_restart(r, &s), 0);
}

static void end_under(struct route *r)
{
	struct terms *terms = r->terms;
	route_release(r);
	terms_drop(terms);
}

#define INSECURE   span_of("\1\0\1\0", 4)
#define VERIFY     span_of("\1\0\1\1", 4)
#define PLAIN      span_of("\2\0\1\1", 4)
#define AUTHORITY  span_of("\3\0\1A", 4)
#define NO_RETRIES span_of("\6\0\x08\0\0\0\0\0\0\0\0", 11)

/* What was said is for the host that the source names: not for a mirror, nor for the target of a redirect. */
static void test_terms_are_for_the_source(void **state)
{
	struct route r;
	struct http_ask ask = {0};
	struct failure failure = {0};
	(void)state;
	begin_under(&r, "manifest://reg.io/a:b", INSECURE);
	route_fill(&r, &s, &ask);
	assert_false(ask.tls->skip_verify);
	assert_int_equal(ask.lane, 0);
	assert_null(route_terms(&r));
	for (unsigned i = 0; i < 2; i++)
		assert_true(route_next_site(&r));
	assert_int_equal(route_enter(&r, &s, "", NULL), 0);
	assert_int_equal(route_restart(&r, &s), 0);
	assert_string_equal(r.url.data, "https://reg.io/v2/a/manifests/b");
	route_fill(&r, &s, &ask);
	assert_true(ask.tls->skip_verify);
	assert_int_equal(ask.lane, r.terms->number);
	assert_int_equal(ask.headers_len, 0); /* those of the configuration */
	assert_true(route_redirect(&r, &s, "https://cdn.io/x", &failure));
	route_fill(&r, &s, &ask);
	assert_false(ask.tls->skip_verify);
	assert_int_equal(ask.lane, 0);
	end_under(&r);
}

/* The registry is asked without TLS only if it has none and need not have any, and one answer is enough for the rest. */
static void test_terms_without_tls(void **state)
{
	static const struct failure no_tls = {.end = HTTP_NO_TLS}, answered = {.end = HTTP_WHOLE, .http_status = 404};
	struct route r;
	(void)state;
	begin_under(&r, "manifest://localhost:5000/a:b", INSECURE);
	assert_string_equal(r.url.data, "https://localhost:5000/v2/a/manifests/b");
	assert_false(route_drop_tls(&r, &s, &answered));
	assert_true(route_drop_tls(&r, &s, &no_tls));
	assert_int_equal(route_enter(&r, &s, "", NULL), 0);
	assert_int_equal(route_restart(&r, &s), 0);
	assert_string_equal(r.url.data, "http://localhost:5000/v2/a/manifests/b");
	route_note_head(&r);
	assert_false(route_drop_tls(&r, &s, &no_tls));
	end_under(&r);
	begin_under(&r, "manifest://localhost:5000/a:c", INSECURE);
	assert_string_equal(r.url.data, "http://localhost:5000/v2/a/manifests/c");
	end_under(&r);
	begin_under(&r, "manifest://other.io/a:c", INSECURE);
	assert_string_equal(r.url.data, "https://other.io/v2/a/manifests/c");
	end_under(&r);
	begin_under(&r, "https://other.io/a", INSECURE); /* a URL says which */
	assert_false(route_drop_tls(&r, &s, &no_tls));
	end_under(&r);
	begin_under(&r, "manifest://other.io/a:c", AUTHORITY);
	assert_false(route_drop_tls(&r, &s, &no_tls));
	end_under(&r);
	begin_under(&r, "manifest://reg.io/a:c", INSECURE); /* at a mirror */
	assert_false(route_drop_tls(&r, &s, &no_tls));
	end_under(&r);
}

/* What was said overrides what is configured. */
static void test_terms_override(void **state)
{
	static const struct {
		const char *source, *url;
		enum { ON_PLAIN, ON_VERIFY, ON_AUTHORITY, ON_INSECURE } policy;
		bool skips;
	} rows[] = {
	    {"manifest://plain.io/a:b", "https://plain.io/v2/a/manifests/b", ON_VERIFY, false},
	    {"manifest://plain.io/a:b", "http://plain.io/v2/a/manifests/b", ON_INSECURE, true},
	    {"manifest://localhost:5444/a:b", "https://localhost:5444/v2/a/manifests/b", ON_VERIFY, false},
	    {"manifest://localhost:5443/a:b", "http://localhost:5443/v2/a/manifests/b", ON_PLAIN, false},
	    {"manifest://localhost:1/a:b", "https://localhost:1/v2/a/manifests/b", ON_AUTHORITY, false},
	    {"https://cdn.io/x", "https://cdn.io/x", ON_INSECURE, true},
	};
	const struct span policies[] = {PLAIN, VERIFY, AUTHORITY, INSECURE};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct route r;
		struct http_ask ask = {0};
		begin_under(&r, rows[i].source, policies[rows[i].policy]);
		assert_string_equal(r.url.data, rows[i].url);
		route_fill(&r, &s, &ask);
		assert_int_equal(ask.tls->skip_verify, rows[i].skips);
		assert_int_equal(ask.tls->ca_besides != NULL, rows[i].policy == ON_AUTHORITY);
		end_under(&r);
	}
	struct route r;
	begin_under(&r, "manifest://reg.io/a:b", NO_RETRIES);
	assert_int_equal(r.policy.host.retry.max, 0); /* of a mirror, too */
	end_under(&r);
}

/* Terms are shared while they are used, kept for a while, and not used again once gone. */
static void test_terms_expire(void **state)
{
	struct terms *a, *b, *none;
	(void)state;
	assert_int_equal(terms_take(&table, span_of("\1", 1), &none), -EINVAL);
	assert_int_equal(terms_take(&table, span_of(NULL, 0), &none), 0);
	assert_null(none);
	terms_drop(none);
	while ((a = terms_expired(&table, UINT64_MAX)))
		terms_free(a);
	assert_int_equal(terms_take(&table, PLAIN, &a), 0);
	assert_int_equal(terms_take(&table, PLAIN, &b), 0);
	assert_ptr_equal(a, b);
	uint64_t number = a->number;
	terms_drop(a);
	assert_null(terms_expired(&table, UINT64_MAX)); /* in use */
	terms_drop(b);
	assert_null(terms_expired(&table, b->idle_ms + TERMS_KEPT_MS - 1));
	assert_ptr_equal(terms_expired(&table, b->idle_ms + TERMS_KEPT_MS), b);
	terms_free(b);
	assert_int_equal(terms_take(&table, PLAIN, &a), 0);
	assert_true(a->number > number);
	terms_drop(a);
	terms_free(terms_expired(&table, UINT64_MAX));
	assert_null(terms_expired(&table, UINT64_MAX));
}

/* After a refused range each other site is asked once. */
static void test_refused_ranges(void **state)
{
	struct route r;
	(void)state;
	begin(&r, "manifest://reg.io/a:b", 0);
	assert_true(route_refuse_range(&r));
	assert_false(route_refuse_range(&r));
	assert_true(route_next_site(&r));
	assert_true(route_refuse_range(&r));
	assert_true(route_next_site(&r));
	assert_false(route_refuse_range(&r)); /* the last */
	route_release(&r);
}

static void test_redirects(void **state)
{
	static const struct {
		const char *source, *location;
		const char *at;  /* NULL: not followed */
		const char *why; /* then */
		bool home;
		enum guard_zone nearest;
	} rows[] = {
	    {"https://a.io/x", "/y", "a.io", NULL, true, ZONE_ANY},
	    {"https://a.io/x", "https://cdn.io/y", "cdn.io", NULL, false, ZONE_PRIVATE},
	    {"http://a.io/x", "http://other.io/y", "other.io", NULL, false, ZONE_PUBLIC},
	    {"https://a.io/x", "https://10.255.0.1/y", "10.255.0.1", NULL, false, ZONE_PRIVATE},
	    {"http://a.io/x", "http://10.255.0.1/y", NULL, "a private network", false, ZONE_ANY},
	    {"http://a.io/x", "http://named.io:5000/y", "named.io:5000", NULL, false, ZONE_PRIVATE},
	    {"http://a.io/x", "http://10.255.0.2:5000/y", "10.255.0.2:5000", NULL, false, ZONE_PRIVATE},
	    {"http://10.255.0.9/x", "http://10.255.0.1/y", "10.255.0.1", NULL, false, ZONE_PRIVATE},
	    {"http://10.255.0.9/x", "http://[fd00:ec2::23]/y", NULL, "this machine", false, ZONE_ANY},
	    {"http://localhost:5000/x", "http://127.0.0.1:9/y", "127.0.0.1:9", NULL, false, ZONE_LOOPBACK},
	    {"http://localhost:5000/x", "http://169.254.169.254/y", NULL, "this machine", false, ZONE_ANY},
	    {"https://a.io/x", "http://a.io/y", NULL, "https to http", false, ZONE_ANY},
	    {"https://a.io/x", "http://plain.io/y", "plain.io", NULL, false, ZONE_PRIVATE},
	    {"https://a.io/x", "http://plain.io:81/y", NULL, "https to http", false, ZONE_ANY},
	    {"https://a.io/x", "http://m0.io:5000/y", NULL, "https to http", false, ZONE_ANY},
	    {"https://plain.io/x", "http://plain.io/y", "plain.io", NULL, false, ZONE_PRIVATE},
	    {"https://a.io/x", "https://127.0.0.1/y", NULL, "this machine", false, ZONE_ANY},
	    {"http://a.io/x", "http://169.254.169.254/", NULL, "this machine", false, ZONE_ANY},
	    {"http://a.io/x", "http://localhost/", NULL, "this machine", false, ZONE_ANY},
	    {"http://a.io/x", "file:///etc/passwd", NULL, "only http", false, ZONE_ANY},
	    {"http://a.io/x", "http://u:p@b.io/", NULL, "credentials", false, ZONE_ANY},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct route r;
		struct failure failure = {0};
		char at[ORIGIN_TEXT_SIZE];
		begin(&r, rows[i].source, 0);
		assert_int_equal(route_redirect(&r, &s, rows[i].location, &failure), rows[i].at != NULL);
		if (!rows[i].at) {
			assert_int_equal(failure.class, FAIL_BAD_DATA);
			assert_non_null(strstr(failure.why.text, rows[i].why));
		} else {
			route_format_at(&r, at);
			assert_string_equal(at, rows[i].at);
			assert_int_equal(route_is_home(&r), rows[i].home);
			assert_int_equal(route_nearest(&r, &s), rows[i].nearest);
		}
		route_release(&r);
	}
}

/* The zone is that of the address that answered, not of the name. The next site has its own. */
static void test_zone_of_home(void **state)
{
	struct failure failure = {0};
	struct route r;
	(void)state;
	begin(&r, "http://a.io/x", 0);
	route_note_answer(&r, ZONE_PRIVATE);
	assert_true(route_redirect(&r, &s, "http://10.255.0.1/y", &failure));
	assert_int_equal(route_nearest(&r, &s), ZONE_PRIVATE);
	assert_int_equal(r.zone_at, ZONE_PRIVATE);
	route_note_answer(&r, ZONE_PUBLIC);
	assert_int_equal(r.zone_at, ZONE_PUBLIC);
	assert_int_equal(r.home_zone, ZONE_PRIVATE);
	assert_int_equal(route_restart(&r, &s), 0);
	assert_int_equal(r.zone_at, ZONE_PRIVATE);
	assert_false(route_redirect(&r, &s, "http://127.0.0.1/y", &failure));
	assert_int_equal(route_restart(&r, &s), 0);
	route_note_answer(&r, ZONE_OWN);
	assert_false(route_redirect(&r, &s, "http://127.0.0.1/y", &failure));
	assert_int_equal(route_restart(&r, &s), 0);
	route_note_answer(&r, ZONE_LOOPBACK);
	assert_true(route_redirect(&r, &s, "http://127.0.0.1/y", &failure));
	assert_int_equal(route_enter(&r, &s, "", &failure.why), 0);
	assert_int_equal(r.home_zone, ZONE_PUBLIC);
	route_release(&r);
}

/* The target of a redirect has its own section, or none. A new try begins at the registry. */
static void test_policy_of_redirects(void **state)
{
	struct route r;
	struct failure failure;
	struct http_ask ask = {0};
	(void)state;
	begin(&r, "blob://reg.io/a@" DIGEST, 3); /* the registry comes first */
	assert_true(route_redirect(&r, &s, "https://cdn.io/y", &failure));
	route_fill(&r, &s, &ask);
	assert_int_equal(ask.patience.min_speed, 7);
	assert_int_equal(ask.headers_len, 0); /* they are for users who name that host */
	assert_int_equal(route_restart(&r, &s), 0);
	assert_true(route_is_home(&r));
	route_fill(&r, &s, &ask);
	assert_int_equal(ask.headers_len, 1);
	assert_int_equal(ask.patience.min_speed, 1024);
	for (int i = 0; i < REDIRECTS_MAX; i++)
		assert_true(route_redirect(&r, &s, "/again", &failure));
	assert_false(route_redirect(&r, &s, "/again", &failure));
	assert_non_null(strstr(failure.why.text, "too often"));
	route_release(&r);
}

/* A reloaded configuration applies from the next refresh on. */
static void test_refresh(void **state)
{
	struct settings *other = calloc(1, sizeof(*other));
	struct route r;
	(void)state;
	assert_non_null(other);
	begin(&r, "https://a.io/x", 0);
	*other = s;
	other->all.connections = 5;
	route_refresh(&r, other);
	assert_int_equal(r.policy.host.connections, 8);
	other->generation++;
	route_refresh(&r, other);
	assert_int_equal(r.policy.host.connections, 5);
	route_release(&r);
	free(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_terms_are_for_the_source),
	    cmocka_unit_test(test_terms_without_tls),
	    cmocka_unit_test(test_terms_override),
	    cmocka_unit_test(test_terms_expire),
	    cmocka_unit_test(test_registry_url),
	    cmocka_unit_test(test_mirror_url),
	    cmocka_unit_test(test_accept),
	    cmocka_unit_test(test_sources),
	    cmocka_unit_test(test_bad_sources),
	    cmocka_unit_test(test_order_of_sites),
	    cmocka_unit_test(test_sites),
	    cmocka_unit_test(test_refused_ranges),
	    cmocka_unit_test(test_redirects),
	    cmocka_unit_test(test_zone_of_home),
	    cmocka_unit_test(test_policy_of_redirects),
	    cmocka_unit_test(test_refresh),
	};
	return cmocka_run_group_tests_name("fetchd route", tests, set_up, NULL);
}
