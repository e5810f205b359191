/* SPDX-License-Identifier: Apache-2.0 */
/* Leases as text: what was acknowledged is read back, and whatever follows it is not. */

/* Own */
#include "tests/unit/unit_dir.h"

/* The code under test */
#include "common/store/lease.h"

#define HEX64  "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DIGEST "sha256:" HEX64
#define HEAD   "for=pull a for linux/amd64\nuid=7\nboot=000102030405060708090a0b0c0d0e0f\nat=12\nttl=600\n"

struct heard {
	unsigned contents, roots;
	int result;
};

static int on_member(void *self, const struct digest *d, bool is_root)
{
	struct heard *h = self;
	char text[DIGEST_TEXT_SIZE];

	digest_format(d, text);
	assert_string_equal(text, DIGEST);
	if (is_root)
		h->roots++;
	else
		h->contents++;
	return h->result;
}

static void test_round_trip(void **state)
{
	AUTO_BUF text = BUF_INIT;
	struct lease l = {.purpose = "pull a for linux/amd64", .uid = 7, .at_s = 12, .ttl_s = 600}, back;
	struct heard heard = {0};
	const struct lease_hooks hooks = {.member = on_member, .self = &heard};
	struct digest d;
	size_t whole;

	(void)state;
	for (uint8_t i = 0; i < BOOT_ID_SIZE; i++)
		l.boot[i] = i;
	assert_int_equal(digest_parse(span_str(DIGEST), &d, NULL), 0);
	for (int firm = 0; firm < 2; firm++) {
		heard = (struct heard){0};
		buf_clear(&text);
		l.is_firm = firm;
		assert_int_equal(lease_format(&l, &text), 0);
		assert_string_equal(text.data, firm ? HEAD "firm=1\n" : HEAD);
		assert_int_equal(lease_format_member(&d, false, &text), 0);
		assert_int_equal(lease_format_member(&d, true, &text), 0);
		assert_int_equal(lease_parse(buf_span(&text), &back, &hooks, &whole), 0);
		assert_int_equal(whole, text.len);
		assert_string_equal(back.purpose, l.purpose);
		assert_int_equal(back.uid, 7);
		assert_int_equal(back.at_s, 12);
		assert_int_equal(back.ttl_s, 600);
		assert_int_equal(back.is_firm, firm);
		assert_memory_equal(back.boot, l.boot, sizeof(l.boot));
		assert_int_equal(heard.contents, 1);
		assert_int_equal(heard.roots, 1);
	}
}

/* Lines are appended: what a power cut tore was not acknowledged. */
static void test_tails(void **state)
{
	static const struct {
		const char *name, *tail;
		size_t whole;
		unsigned contents;
	} rows[] = {
	    {"none", "", sizeof(HEAD) - 1, 0},
	    {"whole", "content=" DIGEST "\n", sizeof(HEAD "content=" DIGEST "\n") - 1, 1},
	    {"no end", "content=" DIGEST, sizeof(HEAD) - 1, 0},
	    {"cut", "content=sha256:e3b0\n", sizeof(HEAD) - 1, 0},
	    {"unknown", "more=1\ncontent=" DIGEST "\n", sizeof(HEAD) - 1, 0},
	    {"empty line", "\ncontent=" DIGEST "\n", sizeof(HEAD) - 1, 0},
	    {"firm, late", "content=" DIGEST "\nfirm=1\n", sizeof(HEAD "content=" DIGEST "\n") - 1, 1},
	};

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF text = BUF_INIT;
		struct heard heard = {0};
		const struct lease_hooks hooks = {.member = on_member, .self = &heard};
		struct lease l;
		size_t whole = 0;
		assert_int_equal(buf_appendf(&text, HEAD "%s", rows[i].tail), 0);
		if (lease_parse(buf_span(&text), &l, &hooks, &whole) != 0 || whole != rows[i].whole ||
		    heard.contents != rows[i].contents)
			fail_msg("%s: %zu bytes, %u members", rows[i].name, whole, heard.contents);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    "for=x\n",
	    ("uid=7\n" HEAD),
	    "for=x\nuid=-1\nboot=000102030405060708090a0b0c0d0e0f\nat=12\nttl=600\n",
	    "for=x\nuid=1\nboot=0001\nat=12\nttl=600\n",
	    "for=x\nuid=1\nboot=000102030405060708090a0b0c0d0e0g\nat=12\nttl=600\n",
	    "for=x\nuid=1\nboot=000102030405060708090a0b0c0d0e0f\nat=4294967296\nttl=600\n",
	    "for=x\nuid=1\nboot=000102030405060708090a0b0c0d0e0f\nat=1\nttl=\n",
	    "for=x\nuid=1\nboot=000102030405060708090a0b0c0d0e0f\nat=1\nttl=1\nfirm=2\n",
	    "for=x\nuid=1\nboot=000102030405060708090a0b0c0d0e0f\nat=1\nttl=1",
	};
	struct lease l;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++)
		if (lease_parse(span_str(rows[i]), &l, NULL, NULL) != -EINVAL)
			fail_msg("'%s' was read", rows[i]);
}

static void test_purpose_at_its_limit(void **state)
{
	(void)state;
	for (size_t len = LEASE_PURPOSE_MAX; len <= LEASE_PURPOSE_MAX + 1; len++) {
		AUTO_BUF text = BUF_INIT;
		struct lease l;
		assert_int_equal(buf_append_str(&text, "for="), 0);
		for (size_t i = 0; i < len; i++)
			assert_int_equal(buf_append_str(&text, "x"), 0);
		assert_int_equal(buf_append_str(&text, strchr(HEAD, '\n')), 0);
		assert_int_equal(lease_parse(buf_span(&text), &l, NULL, NULL), len <= LEASE_PURPOSE_MAX ? 0 : -EINVAL);
	}
}

static void test_ids(void **state)
{
	char longest[LEASE_ID_MAX + 2];

	(void)state;
	memset(longest, 'a', sizeof(longest));
	assert_true(lease_id_is_valid(span_str("command-0a")));
	assert_true(lease_id_is_valid(span_of(longest, LEASE_ID_MAX)));
	assert_false(lease_id_is_valid(span_of(longest, LEASE_ID_MAX + 1)));
	static const char *const bad[] = {"", "-a", "a.b", "../a", "a/b", ".", "a b", "\xc3\xa4"};
	for (size_t i = 0; i < LEN(bad); i++)
		assert_false(lease_id_is_valid(span_str(bad[i])));
	char id[LEASE_ID_MAX + 1], name[LEASE_NAME_SIZE];
	lease_file_name("hand-0a", name);
	assert_string_equal(name, "hand-0a.lease");
	assert_true(lease_id_of_file(name, id));
	assert_string_equal(id, "hand-0a");
	static const char *const no_files[] = {"lock", ".lease", "a.lease.new", ".a.lease", "a b.lease"};
	for (size_t i = 0; i < LEN(no_files); i++)
		assert_false(lease_id_of_file(no_files[i], id));
}

static void test_hook_ends_it(void **state)
{
	struct heard heard = {.result = 5};
	const struct lease_hooks hooks = {.member = on_member, .self = &heard};
	struct lease l = {.ttl_s = 99};

	(void)state;
	assert_int_equal(lease_parse(span_str(HEAD "content=" DIGEST "\ncontent=" DIGEST "\n"), &l, &hooks, NULL), 5);
	assert_int_equal(heard.contents, 1);
	assert_int_equal(l.ttl_s, 99);
}

static void test_load(void **state)
{
	char path[FILE_PATH_SIZE];
	struct lease l;

	(void)state;
	assert_int_equal(lease_load(dir.fd, "a", &l, NULL, NULL), -ENOENT);
	unit_write_text(&dir, "a.lease", HEAD);
	assert_int_equal(lease_load(dir.fd, "a", &l, NULL, NULL), 0);
	assert_int_equal(l.ttl_s, 600);
	assert_int_equal(truncate(unit_path(&dir, "a.lease", path), (off_t)LEASE_FILE_MAX + 1), 0);
	assert_int_equal(lease_load(dir.fd, "a", &l, NULL, NULL), -EFBIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_tails),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_purpose_at_its_limit),
	    cmocka_unit_test(test_ids),
	    cmocka_unit_test(test_hook_ends_it),
	    cmocka_unit_test_setup_teardown(test_load, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
