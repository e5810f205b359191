/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET, ABORT and RESET, and the order of turns.
 */

/* Own */
#include "tests/unit/test_ingestd_core.h"

#define DIGEST_A "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define DIGEST_B "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct transfer *get_any(const char *ref)
{
	return get(ref, ref, NULL, SIZE_UNKNOWN);
}

static char *id_of(const char *ref)
{
	static char path[FILE_PATH_SIZE];
	char id[INGEST_ID_SIZE];

	layout_ingest_id(span_str(ref), id);
	(void)snprintf(path, sizeof(path), "store/ingest/%s", id);
	return path;
}

/* Put content into the store, like commitd. */
static void store_blob(const char *text, char ret_digest[static DIGEST_TEXT_SIZE])
{
	char path[FILE_PATH_SIZE], hex[DIGEST_TEXT_SIZE];
	struct digest d;

	digest_of(HASH_SHA256, text, strlen(text), &d);
	digest_format(&d, ret_digest);
	digest_format_hex(&d, hex);
	(void)mkdirat(dir.fd, "store/blobs", 0755);
	(void)mkdirat(dir.fd, "store/blobs/sha256", 0755);
	(void)snprintf(path, sizeof(path), "store/blobs/sha256/%s", hex);
	unit_write_text(&dir, path, text);
}

static void test_new_ones_start_up_to_the_limit(void **state)
{
	(void)state;
	struct transfer *a = get_any(URL("a")), *b = get_any(URL("b")), *c = get_any(URL("c"));
	assert_phase(a, PHASE_ORDER_DUE);
	assert_phase(b, PHASE_ORDER_DUE);
	assert_phase(c, PHASE_QUEUED);
	assert_null(c->in);
	assert_true(unit_exists(&dir, id_of(URL("c")))); /* it survives a restart, although it has not started */
	flow_halt(&flow, a, STEP_REMOVE);
	assert_true(flow.start_due);
	queue_run(&flow);
	assert_phase(c, PHASE_ORDER_DUE);
}

static void test_turns_are_in_the_order_of_requests(void **state)
{
	(void)state;
	settings.max_active = 1;
	struct transfer *first = get_any(URL("first")), *z = get_any(URL("z")), *a = get_any(URL("a"));
	flow_fail(&flow, first, FAIL_AGAIN, "for now");
	queue_run(&flow);
	assert_phase(z, PHASE_ORDER_DUE);
	assert_phase(a, PHASE_QUEUED);
	assert_ptr_equal(get_any(URL("first")), first); /* requested again, so it comes last */
	flow_halt(&flow, z, STEP_REMOVE);
	queue_run(&flow);
	assert_phase(a, PHASE_ORDER_DUE);
	assert_phase(first, PHASE_QUEUED);
	assert_null(first->note);
}

/* The oldest has a job that closes it. No other overtakes, and the queue moves on when the job is done. */
static void test_job_holds_the_queue(void **state)
{
	(void)state;
	settings.checkpoint_bytes = 1;
	struct transfer *a = get_any(URL("a"));
	append(a->in, 0, 1);
	flow_checkpoint_if_due(&flow, a, clock_mono_ms());
	assert_true(transfer_is_busy(a));
	flow_fail(&flow, a, FAIL_AGAIN, "for now");
	assert_ptr_equal(get_any(URL("a")), a);
	assert_phase(a, PHASE_QUEUED);
	assert_int_equal(a->after, STEP_CLOSE);
	struct transfer *b = get_any(URL("b"));
	assert_phase(b, PHASE_QUEUED);
	flow.start_due = false;
	finish_job(a);
	assert_true(flow.start_due);
	assert_phase(a, PHASE_QUEUED);
	assert_null(a->in);
	queue_run(&flow);
	assert_phase(a, PHASE_ORDER_DUE);
	assert_phase(b, PHASE_ORDER_DUE);
}

static void test_second_request_joins(void **state)
{
	(void)state;
	struct transfer *t = get(URL("r"), URL("r"), NULL, 100);
	uint64_t orders = t->in->record.orders;
	assert_ptr_equal(get(URL("r"), URL("r"), NULL, 200), t);
	assert_int_equal(t->in->record.orders, orders);
	assert_string_equal(t->in->record.source, URL("r"));
	assert_int_equal(t->in->record.size, 100);
}

/* A transfer fed by 'ingestd put' has no source until a request names one. */
static void test_second_request_adds_a_source(void **state)
{
	(void)state;
	struct transfer *t = get_any(URL("r"));
	t->in->record.source[0] = '\0';
	assert_ptr_equal(get_any(URL("r")), t);
	assert_string_equal(t->in->record.source, URL("r"));
}

/* With the fields of the new request. Its bytes are kept only if something proves that they belong to the content. */
static void test_failed_transfer_is_resumed(void **state)
{
	(void)state;
	for (unsigned with_validator = 0; with_validator < 2; with_validator++) {
		struct transfer *t = get(URL("r"), URL("r"), NULL, 100);
		append(t->in, 0, 5);
		(void)snprintf(t->in->record.validator, VALIDATOR_MAX, "%s", with_validator ? "\"v\"" : "");
		flow_fail(&flow, t, FAIL_DENIED, "no");
		assert_phase(t, PHASE_FAILED);
		assert_null(t->in);
		assert_int_equal(t->fail_class, FAIL_DENIED);
		assert_ptr_equal(get(URL("r"), URL("r"), NULL, 99), t);
		assert_phase(t, PHASE_ORDER_DUE);
		assert_string_equal(t->in->record.source, URL("r"));
		assert_int_equal(t->in->record.size, 99);
		assert_int_equal(t->fail_class, FAIL_NONE);
		assert_int_equal(t->in->offset, with_validator ? 5 : 0);
		flow_halt(&flow, t, STEP_REMOVE);
	}
}

static void test_stored_content_is_not_fetched(void **state)
{
	char digest[DIGEST_TEXT_SIZE];
	(void)state;
	struct digest d;
	digest_of(HASH_SHA256, "content", strlen("content"), &d);
	digest_format(&d, digest);
	struct transfer *left = get(digest, SOURCE, digest, SIZE_UNKNOWN);
	flow_fail(&flow, left, FAIL_AGAIN, "for now");
	store_blob("content", digest);
	const struct message m = {
	    .ref = span_str(digest), .source = span_str(SOURCE), .expected = span_str(digest), .size = SIZE_UNKNOWN};
	struct transfer *t = left;
	uint64_t size = 0;
	enum fail_class class;
	struct reason why;
	assert_int_equal(queue_get(&flow, &m, NULL, &t, &size, &class, &why), 0);
	assert_null(t);
	assert_int_equal(size, strlen("content"));
	assert_int_equal(transfers.len, 0); /* and nothing of an earlier try is left */
	assert_false(unit_exists(&dir, id_of(digest)));
}

static void test_invalid_requests_are_refused(void **state)
{
	static const struct {
		const char *name, *ref, *source, *expected;
	} rows[] = {
	    {"no ref", "", SOURCE, ""},
	    {"a blank in the ref", "a b", SOURCE, ""},
	    {"no source", "r", "", ""},
	    {"an unknown source", "r", "gopher://example.test/", ""},
	    {"no digest", "r", SOURCE, "sha256:1"},
	    {"a ref that is another digest", DIGEST_A, SOURCE, DIGEST_B},
	    {"a ref that is a digest, and none is expected", DIGEST_A, SOURCE, ""},
	    {"a ref that is a digest, of a source with it, and none is expected", DIGEST_A,
	     "blob://good.test/a@" DIGEST_A, ""},
	    {"an arbitrary ref without a digest", "r", SOURCE, ""},
	    {"a ref of another URL", URL("good"), URL("evil"), ""},
	    {"a ref of another query", "https://example.test/file?0000000000000000",
	     "https://example.test/file?token=1", ""},
	    {"a ref that has the query", "https://example.test/file?token=1", "https://example.test/file?token=1", ""},
	    {"a ref of another registry", "manifest://good.test/a:1", "manifest://evil.test/a:1", ""},
	    {"a ref of another tag", "manifest://good.test/a:1", "manifest://good.test/a:2", ""},
	    {"a ref of a tag, and a URL", "manifest://good.test/a:1", URL("evil"), ""},
	    {"a ref of a tag, and a digest", "manifest://good.test/a:1", "manifest://good.test/a:1", DIGEST_A},
	    {"a ref of a URL, and a digest", SOURCE, SOURCE, DIGEST_A},
	    {"a source with another digest", DIGEST_A, "blob://good.test/a@" DIGEST_B, DIGEST_A},
	    {"a manifest with another digest", DIGEST_A, "manifest://good.test/a@" DIGEST_B, DIGEST_A},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		const struct message m = {.ref = span_str(rows[i].ref),
					  .source = span_str(rows[i].source),
					  .expected = span_str(rows[i].expected),
					  .size = SIZE_UNKNOWN};
		struct transfer *t;
		uint64_t size;
		enum fail_class class;
		struct reason why = {""};
		if (queue_get(&flow, &m, NULL, &t, &size, &class, &why) != -EINVAL || class != FAIL_USAGE ||
		    why.text[0] == '\0')
			fail_msg("%s was taken", rows[i].name);
		assert_int_equal(transfers.len, 0);
	}
}

/* As from another release. Its data is not used, and the next request has the right source. */
static void test_record_with_another_source(void **state)
{
	(void)state;
	for (unsigned is_complete = 0; is_complete < 2; is_complete++) {
		struct ingest *in = open_ref("manifest://good.test/a:1");
		(void)snprintf(in->record.source, SOURCE_MAX, "manifest://evil.test/a:1");
		append(in, 0, 100);
		in->record.size = is_complete ? 100 : 200;
		assert_int_equal(ingest_note(in), 0);
		ingest_close(in);
		struct transfer *t = transfers_add(&transfers, &flow, span_str("manifest://good.test/a:1"));
		assert_non_null(t);
		queue_run(&flow);
		assert_phase(t, PHASE_FAILED);
		assert_int_equal(t->fail_class, FAIL_USAGE);
		assert_ptr_equal(get_any("manifest://good.test/a:1"), t);
		assert_phase(t, PHASE_ORDER_DUE);
		assert_string_equal(t->in->record.source, t->ref);
		assert_int_equal(t->in->offset, 0);
		flow_halt(&flow, t, STEP_REMOVE);
	}
}

/* Another process holds the lock: a new request is refused, and leaves nothing. */
static void test_locked_ingest(void **state)
{
	(void)state;
	struct ingest *theirs = open_ref(URL("r"));
	const struct message m = {.ref = span_str(URL("r")), .source = span_str(URL("r")), .size = SIZE_UNKNOWN};
	struct transfer *t;
	uint64_t size;
	enum fail_class class;
	struct reason why = {""};
	assert_int_equal(queue_get(&flow, &m, NULL, &t, &size, &class, &why), -EWOULDBLOCK);
	assert_int_equal(class, FAIL_AGAIN);
	assert_non_null(strstr(why.text, "locked by test"));
	assert_int_equal(transfers.len, 0);
	assert_int_equal(queue_abort(&flow, span_str(URL("r")), &why), -EWOULDBLOCK);
	ingest_close(theirs);
	assert_phase(get_any(URL("r")), PHASE_ORDER_DUE);
}

/* A recovered transfer that is locked by another process waits for the lock. */
static void test_recovered_transfer_waits_for_its_lock(void **state)
{
	(void)state;
	struct ingest *theirs = open_ref(URL("r"));
	struct transfer *t = transfers_add(&transfers, &flow, span_str(URL("r")));
	assert_non_null(t);
	assert_int_equal(transfer_ask(t, span_str(URL("r")), NULL, NULL, SIZE_UNKNOWN), 0);
	queue_run(&flow);
	assert_phase(t, PHASE_FOR_LOCK);
	assert_non_null(strstr(t->note, "locked by test"));
	ingest_close(theirs);
	flow_enter(&flow, t, PHASE_QUEUED);
	queue_run(&flow);
	assert_phase(t, PHASE_ORDER_DUE);
}

static void test_abort(void **state)
{
	struct reason why;
	(void)state;
	assert_int_equal(queue_abort(&flow, span_str(URL("none")), &why), -ENOENT);
	ingest_close(open_ref(URL("left")));
	assert_int_equal(queue_abort(&flow, span_str(URL("left")), &why), 0); /* an ingest without a transfer */
	assert_false(unit_exists(&dir, id_of(URL("left"))));
	get_any(URL("open"));
	assert_int_equal(queue_abort(&flow, span_str(URL("open")), &why), 0);
	flow_fail(&flow, get_any(URL("closed")), FAIL_AGAIN, "for now");
	assert_true(unit_exists(&dir, id_of(URL("closed"))));
	assert_int_equal(queue_abort(&flow, span_str(URL("closed")), &why), 0);
	assert_false(unit_exists(&dir, id_of(URL("closed"))));
	assert_int_equal(transfers.len, 0);
}

/* The ingest is removed when its job is done. */
static void test_abort_waits_for_the_job(void **state)
{
	struct reason why;
	(void)state;
	settings.checkpoint_bytes = 1;
	struct transfer *t = get_any(URL("r"));
	append(t->in, 0, 100);
	flow_checkpoint_if_due(&flow, t, clock_mono_ms());
	assert_int_equal(queue_abort(&flow, span_str(URL("r")), &why), 0);
	assert_phase(t, PHASE_HALTED);
	assert_int_equal(t->after, STEP_REMOVE);
	assert_true(unit_exists(&dir, id_of(URL("r"))));
	finish_job(t);
	assert_int_equal(transfers.len, 0);
	assert_false(unit_exists(&dir, id_of(URL("r"))));
}

static void test_reset(void **state)
{
	struct reason why;
	(void)state;
	assert_int_equal(queue_reset(&flow, span_str(URL("none")), &why), -ENOENT);
	struct transfer *t = get(URL("r"), URL("r"), NULL, sizeof(content));
	uint64_t attempt = t->in->record.attempt;
	append(t->in, 0, 1000);
	assert_int_equal(queue_reset(&flow, span_str(URL("r")), &why),
			 0); /* active: restarts at 0, under a new attempt */
	assert_phase(t, PHASE_ORDER_DUE);
	assert_int_equal(t->in->offset, 0);
	assert_true(t->in->record.attempt > attempt);
	append(t->in, 0, 1000);
	flow_fail(&flow, t, FAIL_AGAIN, "for now");
	assert_int_equal(t->offset, 1000);
	assert_int_equal(queue_reset(&flow, span_str(URL("r")), &why), 0); /* idle: stays idle, without bytes */
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->offset, 0);
	assert_int_equal(peek(URL("r")), 0);
}

static void test_reset_of_a_complete_transfer(void **state)
{
	struct reason why;
	(void)state;
	struct transfer *t = get(URL("r"), URL("r"), NULL, 1000);
	append(t->in, 0, 1000);
	flow_do(&flow, t, STEP_COMPLETE);
	assert_phase(t, PHASE_SEALING);
	assert_int_equal(queue_reset(&flow, span_str(URL("r")), &why), -EBUSY);
	finish_job(t);
	assert_phase(t, PHASE_SEAL_DUE);
	assert_int_equal(queue_reset(&flow, span_str(URL("r")), &why), -EBUSY);
}

/* It is remembered for later requests of its ref, and has nothing to abort or reset. */
static void test_committed_transfer(void **state)
{
	struct reason why;
	struct digest d;
	(void)state;
	struct transfer *t = get(URL("r"), URL("r"), NULL, SIZE_UNKNOWN);
	digest_of(HASH_SHA256, "", 0, &d);
	flow_committed(&flow, t, &d);
	assert_phase(t, PHASE_COMMITTED);
	assert_false(unit_exists(&dir, id_of(URL("r"))));
	assert_int_equal(queue_reset(&flow, span_str(URL("r")), &why), -ENOENT);
	assert_ptr_equal(get_any(URL("r")), t); /* a tag, which may have moved */
	assert_phase(t, PHASE_ORDER_DUE);
	flow_committed(&flow, t, &d);
	assert_int_equal(queue_abort(&flow, span_str(URL("r")), &why), 0);
	assert_int_equal(transfers.len, 0);
}

/* Of many that are committed those are forgotten that were committed first, whenever they were requested. */
static void test_committed_transfers_are_forgotten(void **state)
{
	char ref[32];
	struct digest d;
	(void)state;
	digest_of(HASH_SHA256, "", 0, &d);
	struct transfer *last = get_any(URL("last"));
	for (unsigned i = 0; i < RECENT_MAX; i++) {
		(void)snprintf(ref, sizeof(ref), "r%u", i);
		struct transfer *t = transfers_add(&transfers, &flow, span_str(ref));
		assert_non_null(t);
		flow_committed(&flow, t, &d);
	}
	assert_int_equal(transfers.len, RECENT_MAX + 1);
	flow_committed(&flow, last, &d);
	assert_int_equal(transfers.len, RECENT_MAX);
	assert_null(transfers_find(&transfers, span_str("r0")));
	assert_ptr_equal(transfers_find(&transfers, span_str(URL("last"))), last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    CORE_TEST(test_new_ones_start_up_to_the_limit),
	    CORE_TEST(test_committed_transfers_are_forgotten),
	    CORE_TEST(test_turns_are_in_the_order_of_requests),
	    CORE_TEST(test_job_holds_the_queue),
	    CORE_TEST(test_second_request_joins),
	    CORE_TEST(test_second_request_adds_a_source),
	    CORE_TEST(test_failed_transfer_is_resumed),
	    CORE_TEST(test_stored_content_is_not_fetched),
	    CORE_TEST(test_invalid_requests_are_refused),
	    CORE_TEST(test_record_with_another_source),
	    CORE_TEST(test_locked_ingest),
	    CORE_TEST(test_recovered_transfer_waits_for_its_lock),
	    CORE_TEST(test_abort),
	    CORE_TEST(test_abort_waits_for_the_job),
	    CORE_TEST(test_reset),
	    CORE_TEST(test_reset_of_a_complete_transfer),
	    CORE_TEST(test_committed_transfer),
	};
	return cmocka_run_group_tests_name("ingestd queue", tests, NULL, NULL);
}
