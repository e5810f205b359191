/* SPDX-License-Identifier: Apache-2.0 */
/* Transfer files: read back whole after any partial append, and refused if they are not ours. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/store/layout.h"
#include "common/store/record.h"

#define D       "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER   "sha256:f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define STARTED "started=2026-01-31T12:34:56Z\n"
#define END     "end=1\n"
#define FULL                                                                                                           \
	"ref=" D "\nsource=blob://h.io/a@" D "\npolicy=credentials\ndigest=" D                                         \
	"\nsize=5\nmedia_type=a/b\nvalidator=\"x\"\n" STARTED "attempt=7\nrestarts=1\nsealed=" D                       \
	"\nfailed=4\nerror=wrong digest\n" END
#define SMALL "ref=some/ref\n" STARTED END

static struct record parse(const char *text)
{
	struct record t;
	struct reason why = {""};
	if (record_parse(span_str(text), &t, &why) != 0)
		fail_msg("'%s': %s", text, why.text);
	return t;
}

static void test_round_trip(void **state)
{
	static const char *const rows[] = {FULL, SMALL};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		AUTO_BUF out = BUF_INIT;
		struct record t = parse(rows[i]);
		assert_int_equal(record_format(&t, &out), 0);
		assert_string_equal(out.data, rows[i]);
	}
}

static void test_values(void **state)
{
	(void)state;
	struct record t = parse(FULL);
	assert_string_equal(t.ref, D);
	assert_string_equal(t.source, "blob://h.io/a@" D);
	assert_true(t.has_expected && t.has_sealed && digest_eq(&t.expected, &t.sealed));
	assert_int_equal(t.policy, RECORD_POLICY_CREDENTIALS);
	assert_int_equal(t.size, 5);
	assert_string_equal(t.media_type, "a/b");
	assert_string_equal(t.validator, "\"x\"");
	assert_int_equal(t.started_s, 1769862896);
	assert_int_equal(t.attempt, 7);
	assert_int_equal(t.restarts, 1);
	assert_int_equal(t.failed, FAIL_BAD_DATA);
	assert_string_equal(t.why.text, "wrong digest");
	t = parse(SMALL);
	assert_true(!t.has_expected && !t.has_sealed);
	assert_int_equal(t.size, SIZE_UNKNOWN);
	assert_int_equal(t.attempt, 0);
	assert_int_equal(t.failed, FAIL_NONE);
	assert_string_equal(t.why.text, "");
}

/* The last record is used, without fields of an earlier one. */
static void test_last_record_is_used(void **state)
{
	(void)state;
	struct record t = parse(FULL "ref=" D "\ndigest=" D "\nattempt=8\n" END);
	assert_int_equal(t.attempt, 8);
	assert_int_equal(t.size, SIZE_UNKNOWN);
	assert_int_equal(t.failed, FAIL_NONE);
	assert_string_equal(t.source, "");
}

/* After a partial append the record before it is used; after a partial first write there is none. */
static void test_torn(void **state)
{
	static const char two[] = SMALL FULL;
	static const size_t first = sizeof(SMALL) - 1;
	(void)state;
	for (size_t len = 0; len < sizeof(two); len++) {
		struct record t;
		struct reason why = {""};
		size_t whole = len < first ? 0 : len < sizeof(two) - 1 ? first : sizeof(two) - 1;
		assert_int_equal(record_whole_len(span_of(two, len)), whole);
		assert_int_equal(record_parse(span_of(two, len), &t, &why), whole > 0 ? 0 : -EINVAL);
		if (whole > 0)
			assert_string_equal(t.ref, whole == first ? "some/ref" : D);
		else
			assert_true(why.text[0] != '\0');
	}
}

/* The same with garbage behind the tear, as a disk may leave it. */
static void test_torn_with_zeros(void **state)
{
	static const char two[] = SMALL FULL;
	(void)state;
	for (size_t len = sizeof(SMALL) - 1; len < sizeof(two) - 1; len++) {
		char text[sizeof(two)] = {0};
		struct record t;
		memcpy(text, two, len);
		assert_int_equal(record_parse(span_of(text, sizeof(two) - 1), &t, NULL), 0);
		assert_string_equal(t.ref, "some/ref");
	}
}

#define ROW(text)                                                                                                      \
	{                                                                                                              \
		text, sizeof(text) - 1                                                                                 \
	}

static void test_refused(void **state)
{
	static const struct {
		const char *text;
		size_t len;
	} rows[] = {
	    ROW(""),
	    ROW("\n"),
	    ROW(END),
	    ROW("\n" END),
	    ROW("ref=a\n"),
	    ROW("ref=a\nend=1"),
	    ROW("ref=a\nend=2\n"),
	    ROW(STARTED END),
	    ROW("ref=\n" END),
	    ROW("ref=a b\n" END),
	    ROW("ref=a\0b\n" END),
	    ROW("ref=a\x7f\n" END),
	    ROW("ref=\xc3\xa4\n" END),
	    ROW("ref=sha256:../../x\n" END),
	    ROW("ref=sha512:00\n" END),
	    ROW("ref=" D "\n" END),
	    ROW("ref=" D "\ndigest=" OTHER "\n" END),
	    ROW("ref=a\ndigest=md5:00\n" END),
	    ROW("ref=a\ndigest=\n" END),
	    ROW("ref=a\nsize=-1\n" END),
	    ROW("ref=a\nsize=\n" END),
	    ROW("ref=a\nsize=1x\n" END),
	    ROW("ref=a\nsize=0x1\n" END),
	    ROW("ref=a\nsize= 1\n" END),
	    ROW("ref=a\nsize=9223372036854775808\n" END),
	    ROW("ref=a\nattempt=18446744073709551616\n" END),
	    ROW("ref=a\nrestarts=4294967296\n" END),
	    ROW("ref=a\nfailed=11\n" END),
	    ROW("ref=a\npolicy=\n" END),
	    ROW("ref=a\npolicy=secret\n" END),
	    ROW("ref=a\nfailed=-1\n" END),
	    ROW("ref=a\nstarted=yesterday\n" END),
	    ROW("ref=a\nstarted=2026-02-31T12:34:56Z\n" END),
	    ROW("ref=a\nsealed=" D "\n" END),
	    ROW("ref=a\nsealed=x\nsize=1\n" END),
	    ROW("ref=a\nmedia_type=a\tb\n" END),
	    ROW("ref=a\nvalidator=a\rb\n" END),
	    ROW("ref=a\nunknown=1\n" END),
	    ROW("ref=a\nREF=b\n" END),
	    ROW("ref=a\nno equals\n" END),
	    ROW("ref=a\n\n" END),
	    ROW("ref=a\n=x\n" END),
	    ROW(" ref=a\n" END),
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct record t = {.attempt = 42};
		struct reason why = {""};
		if (record_parse(span_of(rows[i].text, rows[i].len), &t, &why) != -EINVAL)
			fail_msg("'%s' was taken", rows[i].text);
		assert_int_equal(t.attempt, 42);
		assert_true(why.text[0] != '\0');
	}
}

/* Each text at its limit, and one past it. */
static void test_lengths(void **state)
{
	static const struct {
		const char *key;
		size_t max;
	} rows[] = {
	    {"ref", REF_MAX},
	    {"source", SOURCE_MAX},
	    {"media_type", MEDIA_TYPE_MAX},
	    {"validator", VALIDATOR_MAX},
	    {"error", REASON_MAX - 1},
	};
	static char value[SOURCE_MAX + 2];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		for (size_t over = 0; over < 2; over++) {
			AUTO_BUF text = BUF_INIT;
			struct record t;
			memset(value, 'v', sizeof(value));
			value[rows[i].max + over] = '\0';
			assert_int_equal(buf_appendf(&text, "ref=a\n%s=%s\n" END, rows[i].key, value), 0);
			if (record_parse(buf_span(&text), &t, NULL) != (over ? -EINVAL : 0))
				fail_msg("%s, over by %zu", rows[i].key, over);
		}
	}
}

static void test_limits(void **state)
{
	(void)state;
	struct record t = parse(
	    "ref=a\nsize=9223372036854775807\nattempt=18446744073709551615\nrestarts=4294967295\nfailed=10\n" END);
	assert_int_equal(t.size, INT64_MAX);
	assert_int_equal(t.attempt, UINT64_MAX);
	assert_int_equal(t.restarts, UINT32_MAX);
	assert_int_equal(t.failed, FAIL_MISSING);
}

/* An ingest directory with that file, or without one if `text` is NULL. */
static int load(struct unit_dir *dir, const char *id, const char *text, struct record *ret_record, size_t *ret_len)
{
	struct reason why = {""};
	char name[FILE_PATH_SIZE];
	(void)snprintf(name, sizeof(name), "%s/transfer", id);
	(void)mkdirat(dir->fd, id, 0755);
	(void)unlinkat(dir->fd, name, 0);
	if (text)
		unit_write_text(dir, name, text);
	int dir_fd = openat(dir->fd, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir_fd >= 0);
	int r = record_load(dir_fd, id, ret_record, ret_len, &why);
	assert_int_equal(why.text[0] != '\0', r < 0);
	(void)close(dir_fd);
	return r;
}

static void test_load(void **state)
{
	AUTO_BUF big = BUF_INIT;
	struct unit_dir dir;
	struct record t = {.attempt = 42};
	char id[INGEST_ID_SIZE];
	size_t len = 7;
	(void)state;
	unit_dir_make(&dir);
	layout_ingest_id(span_str("some/ref"), id);
	assert_int_equal(load(&dir, id, NULL, &t, &len), -ENOENT);
	assert_int_equal(load(&dir, id, "", &t, &len), -EBADMSG);
	assert_int_equal(load(&dir, id, "ref=some/ref\n", &t, &len), -EBADMSG);
	assert_int_equal(load(&dir, id, "ref=other/ref\n" STARTED END, &t, &len), -EBADMSG);
	while (big.len <= 2 * RECORD_FILE_MAX)
		assert_int_equal(buf_append_str(&big, SMALL), 0);
	assert_int_equal(load(&dir, id, big.data, &t, &len), -EFBIG);
	assert_int_equal(t.attempt, 42);
	assert_int_equal(len, 7);
	assert_int_equal(load(&dir, id, SMALL "ref=some/r", &t, &len), 0);
	assert_string_equal(t.ref, "some/ref");
	assert_int_equal(len, strlen(SMALL));
	unit_dir_remove(&dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_values),
	    cmocka_unit_test(test_last_record_is_used),
	    cmocka_unit_test(test_torn),
	    cmocka_unit_test(test_torn_with_zeros),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_limits),
	    cmocka_unit_test(test_load),
	};
	return cmocka_run_group_tests_name("record", tests, NULL, NULL);
}
