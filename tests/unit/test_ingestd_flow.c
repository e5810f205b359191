/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The steps of a transfer: in order, while a job runs, and after failures.
 */

/* Own */
#include "tests/unit/test_ingestd_core.h"

/* The code under test */
#include "ingestd/recover.h"

static char wanted[DIGEST_TEXT_SIZE];

static int flow_set_up(void **state)
{
	(void)core_set_up(state);
	digest_format(&content_digest, wanted);
	return 0;
}

static struct transfer *get_content(void)
{
	return get(wanted, SOURCE, wanted, sizeof(content));
}

static void start_checkpoint(struct transfer *t)
{
	settings.checkpoint_bytes = 1;
	flow_checkpoint_if_due(&flow, t, clock_mono_ms());
	assert_true(transfer_is_busy(t));
}

static void make_durable(struct transfer *t)
{
	start_checkpoint(t);
	finish_job(t);
	assert_int_equal(t->in->durable_offset, t->in->offset);
}

/* Let all syncs of the data fail. */
static void break_syncs(struct transfer *t)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_true(dup2(ends[1], t->in->data_fd) >= 0);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

/* 1,000 bytes are durable; a checkpoint of 2,000 more fails. */
static void fail_checkpoint(struct transfer *t)
{
	append(t->in, 0, 1000);
	make_durable(t);
	append(t->in, 1000, 3000);
	break_syncs(t);
	start_checkpoint(t);
	finish_job(t);
}

static void test_from_the_order_to_the_seal(void **state)
{
	struct stat st;
	(void)state;
	struct transfer *t = get_content();
	assert_phase(t, PHASE_ORDER_DUE);
	append(t->in, 0, sizeof(content));
	flow_do(&flow, t, STEP_COMPLETE);
	assert_phase(t, PHASE_SEALING);
	assert_false(t->in->record.has_sealed);
	finish_job(t);
	assert_phase(t, PHASE_SEAL_DUE);
	assert_true(t->in->record.has_sealed);
	assert_true(digest_eq(&t->in->record.sealed, &content_digest));
	assert_int_equal(fstat(t->in->data_fd, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0444);
	flow_committed(&flow, t, &content_digest);
	assert_phase(t, PHASE_COMMITTED);
	assert_int_equal(t->offset, sizeof(content));
}

/* Space for a known size is reserved before the order, unless the size is small. */
static void test_space_is_reserved_before_the_order(void **state)
{
	struct stat st;
	(void)state;
	struct transfer *little = get(URL("little"), URL("little"), NULL, (1u << 20) - 1);
	assert_phase(little, PHASE_ORDER_DUE);
	struct transfer *much = get(URL("much"), URL("much"), NULL, 1u << 20);
	uint64_t orders = much->in->record.orders;
	assert_phase(much, PHASE_RESERVING);
	finish_job(much);
	assert_phase(much, PHASE_ORDER_DUE);
	assert_int_equal(much->in->record.orders, orders + 1);
	assert_int_equal(fstat(much->in->data_fd, &st), 0);
	assert_int_equal(st.st_size, 0);
}

static void test_oversized_transfer_waits_for_space(void **state)
{
	(void)state;
	struct transfer *t = get(URL("r"), URL("r"), NULL, UINT64_C(1) << 60);
	assert_phase(t, PHASE_FOR_SPACE);
	assert_non_null(strstr(t->note, "'" URL("r") "' needs 1.0 EiB more"));
	assert_int_equal(t->in->record.orders, 0);
}

static void test_wrong_bytes_start_over_once(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	uint64_t attempt = t->in->record.attempt;
	for (unsigned try = 0; try < 2; try++) {
		size_t accepted;
		for (size_t left = sizeof(content); left > 0; left -= 1000)
			assert_int_equal(ingest_append(t->in, content, 1000, &accepted), 0);
		flow_do(&flow, t, STEP_COMPLETE);
		if (try == 0) {
			assert_phase(t, PHASE_ORDER_DUE);
			assert_int_equal(t->in->offset, 0);
			assert_int_equal(t->in->record.size, sizeof(content));
			assert_true(t->in->record.attempt > attempt);
		}
	}
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->fail_class, FAIL_BAD_DATA);
	assert_non_null(strstr(t->note, wanted));
	assert_int_equal(t->offset, 0);
	assert_int_equal(peek(wanted), 0);
}

/* A new request allows a new start. */
static void test_request_resets_the_tries(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	flow_start_over(&flow, t, FAIL_CHANGED, "changed");
	assert_phase(t, PHASE_ORDER_DUE);
	flow_start_over(&flow, t, FAIL_CHANGED, "changed again");
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->fail_class, FAIL_CHANGED);
	assert_ptr_equal(get_content(), t);
	flow_start_over(&flow, t, FAIL_CHANGED, "changed");
	assert_phase(t, PHASE_ORDER_DUE);
}

static void test_step_waits_for_the_job(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	start_checkpoint(t);
	append(t->in, 1000, sizeof(content));
	flow_do(&flow, t, STEP_COMPLETE);
	assert_phase(t, PHASE_ORDER_DUE);
	assert_int_equal(t->after, STEP_COMPLETE);
	uint64_t durable = t->job.offset;
	finish_job(t);
	assert_int_equal(durable, 1000);
	while (t->phase == PHASE_SEALING)
		finish_job(t);
	assert_phase(t, PHASE_SEAL_DUE);
}

/* Ordering does not wait, because no job uses what it writes. */
static void test_order_does_not_wait_for_the_job(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	start_checkpoint(t);
	uint64_t orders = t->in->record.orders;
	flow_do(&flow, t, STEP_ORDER);
	assert_int_equal(t->in->record.orders, orders + 1);
	finish_job(t);
	assert_phase(t, PHASE_ORDER_DUE);
	assert_int_equal(t->in->record.orders, orders + 1);
}

static void test_later_step_replaces_a_waiting_one(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	start_checkpoint(t);
	flow_start_over(&flow, t, FAIL_CHANGED, "changed");
	assert_phase(t, PHASE_HALTED);
	assert_int_equal(t->state, TRANSFER_FETCHING); /* clients still see this state */
	flow_halt(&flow, t, STEP_SUSPEND);
	assert_int_equal(t->after, STEP_SUSPEND);
	finish_job(t);
	assert_phase(t, PHASE_HALTED);
	assert_null(t->in);
	assert_int_equal(peek(wanted), 1000);
}

static void test_error_rolls_back_once(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	make_durable(t);
	append(t->in, 1000, 3000);
	uint64_t attempt = t->in->record.attempt;
	flow_trouble(&flow, t, -EIO, "write to");
	assert_phase(t, PHASE_ORDER_DUE);
	assert_prefix(t->in, 1000);
	assert_true(t->in->record.attempt > attempt);
	flow_trouble(&flow, t, -EIO, "write to");
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->fail_class, FAIL_IO);
	assert_non_null(strstr(t->note, "cannot write to '"));
	assert_non_null(strstr(t->note, "Input/output error"));
	assert_int_equal(peek(wanted), 1000);
}

static void test_failed_sync_rolls_back(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	fail_checkpoint(t);
	assert_phase(t, PHASE_ORDER_DUE);
	assert_prefix(t->in, 1000);
	assert_true(transfer_has(t, MARK_ROLLED_BACK));
}

/* Bytes of a failed sync are not trusted later, although the ingest is closed and the sync not repeated. */
static void test_failed_sync_before_a_close(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	make_durable(t);
	append(t->in, 1000, 3000);
	break_syncs(t);
	start_checkpoint(t);
	flow_fail(&flow, t, FAIL_AGAIN, "for now");
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->after, STEP_CLOSE);
	finish_job(t);
	assert_phase(t, PHASE_FAILED);
	assert_null(t->in);
	assert_int_equal(peek(wanted), 1000);
}

/* A removal succeeds nevertheless. */
static void test_failed_sync_before_a_removal(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	break_syncs(t);
	start_checkpoint(t);
	flow_halt(&flow, t, STEP_REMOVE);
	finish_job(t);
	assert_int_equal(transfers.len, 0);
}

static void test_full_disk_is_waited_out(void **state)
{
	(void)state;
	struct transfer *t = get_content(), *other = get(URL("other"), URL("other"), NULL, 100);
	append(t->in, 0, 1000);
	flow_trouble(&flow, t, -ENOSPC, "write to");
	assert_phase(t, PHASE_FOR_SPACE);
	assert_prefix(t->in, 1000);
	assert_non_null(strstr(t->note, "No space left on device"));
	flow_space_is_back(&flow, t);
	assert_int_equal(t->after, STEP_REQUEUE);
	finish_job(t);
	assert_phase(t, PHASE_QUEUED);
	assert_true(t->turn > other->turn);
	queue_run(&flow);
	assert_phase(t, PHASE_ORDER_DUE);
	assert_prefix(t->in, 1000);
}

/* Each failed try doubles the pause; progress resets it. */
static void test_pauses_between_tries_for_space(void **state)
{
	static const uint64_t pauses_ms[] = {500, 1000, 2000, 4000, 8000, 16000, 16000};
	(void)state;
	struct transfer *t = get_content();
	for (size_t i = 0; i <= LEN(pauses_ms); i++) {
		if (i == LEN(pauses_ms))
			append(t->in, 0, 1000);
		uint64_t before_ms = clock_mono_ms();
		flow_wait_for_space(&flow, t, "full");
		uint64_t want_ms = i < LEN(pauses_ms) ? pauses_ms[i] : pauses_ms[0];
		assert_in_range(t->space_ms, before_ms + want_ms, clock_mono_ms() + want_ms);
	}
}

static void test_suspended_transfer_is_durable(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	append(t->in, 0, 1000);
	assert_int_equal(t->in->durable_offset, 0);
	flow_halt(&flow, t, STEP_SUSPEND);
	assert_int_equal(t->job.kind, SYNC_CHECKPOINT);
	finish_job(t);
	assert_null(t->in);
	transfer_check(t);
	home.boot_id[0]++; /* reboot: only durable bytes are valid */
	struct ingest *in = open_ref(wanted);
	assert_prefix(in, 1000);
	ingest_close(in);
}

/* It has no source, so it rests, also after wrong content. */
static void test_transfer_fed_by_put(void **state)
{
	(void)state;
	struct ingest *in = open_ref("r");
	append(in, 0, 1000);
	expect(in);
	ingest_close(in);
	struct transfer *t = transfers_add(&transfers, &flow, span_str("r"));
	assert_non_null(t);
	queue_run(&flow);
	assert_phase(t, PHASE_IDLE);
	assert_string_equal(t->note, "fed by 'ingestd put'");
	in = open_ref("r");
	in->record.size = 1000; /* complete, but not the expected content */
	assert_int_equal(ingest_note(in), 0);
	ingest_close(in);
	flow_enter(&flow, t, PHASE_QUEUED);
	queue_run(&flow);
	assert_phase(t, PHASE_IDLE);
	assert_int_equal(t->offset, 0);
}

static void store_content(void)
{
	char path[FILE_PATH_SIZE], hex[DIGEST_TEXT_SIZE];

	digest_format_hex(&content_digest, hex);
	(void)mkdirat(dir.fd, "store/blobs", 0755);
	(void)mkdirat(dir.fd, "store/blobs/sha256", 0755);
	(void)snprintf(path, sizeof(path), "store/blobs/sha256/%s", hex);
	unit_write(&dir, path, content, sizeof(content));
}

/* The tag's content is stored, so it is done without an order. */
static void test_tag_of_stored_content(void **state)
{
	(void)state;
	store_content();
	struct transfer *t = get(URL("r"), URL("r"), NULL, SIZE_UNKNOWN);
	t->in->record.expected = content_digest;
	t->in->record.has_expected = true;
	flow_do(&flow, t, STEP_RESOLVED);
	assert_phase(t, PHASE_COMMITTED);
	assert_int_equal(t->size, sizeof(content));
	assert_true(digest_eq(&t->digest, &content_digest));
}

/* A name is not trusted while another transfer's commit may not have synced it. */
static void test_tag_of_content_being_committed(void **state)
{
	(void)state;
	struct transfer *first = get_content();
	append(first->in, 0, sizeof(content));
	flow_do(&flow, first, STEP_COMPLETE);
	finish_job(first);
	assert_phase(first, PHASE_SEAL_DUE);
	store_content();
	struct transfer *t = get(URL("tag"), URL("tag"), NULL, SIZE_UNKNOWN);
	t->in->record.expected = content_digest;
	t->in->record.has_expected = true;
	uint64_t orders = t->in->record.orders;
	flow_do(&flow, t, STEP_RESOLVED);
	assert_phase(t, PHASE_ORDER_DUE);
	assert_int_equal(t->in->record.orders, orders + 1);
}

/* commitd has moved the data to its name, which it has not synced, and ingestd starts again. */
static void restart_in_mid_commit(void)
{
	char id[INGEST_ID_SIZE], path[FILE_PATH_SIZE];
	struct transfer *t = get(URL("first"), URL("first"), NULL, sizeof(content));

	append(t->in, 0, sizeof(content));
	flow_do(&flow, t, STEP_COMPLETE);
	finish_job(t);
	assert_phase(t, PHASE_SEAL_DUE);
	transfers_release(&transfers);
	transfers = (struct transfers){0};
	store_content();
	layout_ingest_id(span_str(URL("first")), id);
	(void)snprintf(path, sizeof(path), "store/ingest/%s/data", id);
	assert_int_equal(unlinkat(dir.fd, path, 0), 0);
	recover_all(&flow);
}

static void test_tag_of_content_moved_before_a_restart(void **state)
{
	(void)state;
	restart_in_mid_commit();
	struct transfer *t = get(URL("tag"), URL("tag"), NULL, SIZE_UNKNOWN);
	assert_phase(transfers_find(&transfers, span_str(URL("first"))), PHASE_SEAL_DUE);
	t->in->record.expected = content_digest;
	t->in->record.has_expected = true;
	flow_do(&flow, t, STEP_RESOLVED);
	assert_phase(t, PHASE_ORDER_DUE);
}

/* Nor is it stored for a request by digest, even if the transfer that commits it has not got its turn. */
static void test_request_for_content_moved_before_a_restart(void **state)
{
	(void)state;
	restart_in_mid_commit();
	settings.max_active = 0;
	assert_non_null(get_content());
	struct transfer *first = transfers_find(&transfers, span_str(URL("first")));
	assert_phase(first, PHASE_QUEUED);
	assert_true(first->has_digest && digest_eq(&first->digest, &content_digest));
	assert_int_equal(queue_abort(&flow, span_str(wanted), NULL), 0);
	flow_committed(&flow, first, &content_digest);
	assert_null(get_content());
}

/* A job of a transfer that is queued fails: it still waits for its turn. */
static void test_queued_transfer_rolls_back(void **state)
{
	(void)state;
	settings.max_active = 0;
	struct transfer *t = get_content();
	struct reason why;
	assert_phase(t, PHASE_QUEUED);
	assert_int_equal(transfer_open(t, &home, INGEST_EXISTING, &why), 0);
	fail_checkpoint(t);
	assert_phase(t, PHASE_QUEUED);
	assert_prefix(t->in, 1000);
	settings.max_active = 1;
	queue_run(&flow);
	assert_phase(t, PHASE_ORDER_DUE);
}

/* A tag is resolved while a job runs, and then there is no space: the order waits, too. */
static void test_resolved_transfer_waits_for_space(void **state)
{
	(void)state;
	struct transfer *t = get(URL("tag"), URL("tag"), NULL, SIZE_UNKNOWN);
	append(t->in, 0, 1000);
	start_checkpoint(t);
	t->in->record.expected = content_digest;
	t->in->record.has_expected = true;
	flow_do(&flow, t, STEP_RESOLVED);
	flow_wait_for_space(&flow, t, "full");
	assert_int_equal(t->after, STEP_RESOLVED);
	finish_job(t);
	assert_phase(t, PHASE_FOR_SPACE);
}

/* Bytes that may belong to other content cannot be dropped: they are not used after all. */
static void test_unverifiable_bytes_that_stay(void **state)
{
	(void)state;
	settings.max_active = 0;
	struct transfer *t = get(URL("r"), URL("r"), NULL, SIZE_UNKNOWN);
	struct reason why;
	assert_int_equal(transfer_open(t, &home, INGEST_EXISTING, &why), 0);
	append(t->in, 0, 1000);
	make_durable(t);
	break_syncs(t); /* so truncating fails, too */
	settings.max_active = 1;
	queue_run(&flow);
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->fail_class, FAIL_IO);
	assert_non_null(strstr(t->note, "cannot truncate '"));
}

/* Over all transfers, so that a ref requested again after an abort is not mistaken for the old transfer. */
static void test_attempts_only_grow(void **state)
{
	(void)state;
	struct transfer *t = get_content();
	flow_do(&flow, t, STEP_ORDER);
	uint64_t attempt = t->in->record.attempt;
	flow_halt(&flow, t, STEP_REMOVE);
	t = get_content();
	assert_true(t->in->record.attempt > attempt);
	attempt = t->in->record.attempt;
	struct transfer *other = get(URL("other"), URL("other"), NULL, 100);
	assert_true(other->in->record.attempt > attempt);
}

static void test_oldest_committed_transfer_is_forgotten(void **state)
{
	char ref[32];
	(void)state;
	for (unsigned i = 0; i <= RECENT_MAX; i++) {
		(void)snprintf(ref, sizeof(ref), "r%u", i);
		struct transfer *t = transfers_add(&transfers, &flow, span_str(ref));
		assert_non_null(t);
		flow_committed(&flow, t, &content_digest);
	}
	assert_int_equal(transfers.len, RECENT_MAX);
	assert_null(transfers_find(&transfers, span_str("r0")));
	assert_non_null(transfers_find(&transfers, span_str("r1")));
}

/* ── sources ── */

#define RETRIES(n) span_of("\6\0\x08\0\0\0\0\0\0\0" n, 11)
#define SECRET     span_of("\x0a\0\4YTpi", 7)

/* GET of the content from a registry, with a policy. */
static struct transfer *get_from(const char *host, struct span policy)
{
	char source[256];
	struct policy *p;
	struct transfer *t;
	uint64_t size;
	enum fail_class class;
	struct reason why = {""};

	(void)snprintf(source, sizeof(source), "blob://%s/a@%s", host, wanted);
	const struct message m = {.type = MSG_GET,
				  .ref = span_str(wanted),
				  .source = span_str(source),
				  .expected = span_str(wanted),
				  .size = SIZE_UNKNOWN};
	assert_int_equal(policies_take(&flow.policies, 1, policy, &p), 0);
	assert_int_equal(queue_get(&flow, &m, p, &t, &size, &class, &why), 0);
	policy_drop(p);
	transfer_check(t);
	return t;
}

static void assert_source(const struct transfer *t, const char *host, struct span policy, enum record_policy noted)
{
	assert_phase(t, PHASE_ORDER_DUE);
	assert_int_equal(strncmp(t->in->record.source + strlen("blob://"), host, strlen(host)), 0);
	assert_true(span_eq(policy_bytes(t->current.policy), policy));
	assert_int_equal(t->in->record.policy, noted);
}

/* The next one goes on at the same offset. When the last has failed, nothing is kept of any policy. */
static void test_next_source(void **state)
{
	(void)state;
	struct transfer *t = get_from("one.io", SECRET);
	append(t->in, 0, 1000);
	for (unsigned i = 0; i < 2; i++) { /* each once */
		assert_ptr_equal(get_from("one.io", SECRET), t);
		assert_ptr_equal(get_from("one.io", RETRIES("\3")), t);
		assert_ptr_equal(get_from("two.io", span_of(NULL, 0)), t);
	}
	uint64_t attempt = t->in->record.attempt;
	assert_source(t, "one.io", SECRET, RECORD_POLICY_CREDENTIALS);
	flow_source_failed(&flow, t, FAIL_DENIED, "refused");
	assert_source(t, "one.io", RETRIES("\3"), RECORD_POLICY_OPTIONS);
	assert_int_equal(t->in->offset, 1000);
	assert_true(t->in->record.attempt > attempt);
	flow_source_failed(&flow, t, FAIL_AGAIN, "broken off");
	assert_source(t, "two.io", span_of(NULL, 0), RECORD_POLICY_NONE);
	flow_source_failed(&flow, t, FAIL_NOT_FOUND, "not there");
	assert_phase(t, PHASE_FAILED);
	assert_int_equal(t->fail_class, FAIL_NOT_FOUND);
	assert_true(LIST_EMPTY(&flow.policies));
	assert_source(get_from("two.io", SECRET), "two.io", SECRET, RECORD_POLICY_CREDENTIALS);
}

/* What is the same everywhere is not tried elsewhere. */
static void test_order_that_is_wrong_fails_everywhere(void **state)
{
	(void)state;
	struct transfer *t = get_from("one.io", SECRET);
	assert_ptr_equal(get_from("two.io", SECRET), t);
	flow_source_failed(&flow, t, FAIL_USAGE, "no such source");
	assert_phase(t, PHASE_FAILED);
	assert_true(LIST_EMPTY(&flow.policies));
}

/* A transfer keeps a number of sources. */
static void test_many_sources(void **state)
{
	char host[32];
	(void)state;
	struct transfer *t = get_from("first.io", span_of(NULL, 0));
	for (unsigned i = 0; i < SOURCES_MAX; i++) {
		(void)snprintf(host, sizeof(host), "host-%u.io", i);
		assert_ptr_equal(get_from(host, RETRIES("\1")), t);
	}
	assert_int_equal(t->others_len, SOURCES_MAX - 1);
	for (unsigned i = 0; i < SOURCES_MAX - 1; i++)
		flow_source_failed(&flow, t, FAIL_AGAIN, "broken off");
	assert_source(t, "host-14.io", RETRIES("\1"), RECORD_POLICY_OPTIONS);
	flow_source_failed(&flow, t, FAIL_AGAIN, "broken off");
	assert_phase(t, PHASE_FAILED);
}

/* After a restart nobody has the policy: it rests, and says what it needs. */
static void test_policy_is_gone_after_a_restart(void **state)
{
	static const struct {
		struct span policy;
		enum phase phase;
		const char *note;
	} rows[] = {
	    {{(const uint8_t *)"\x0a\0\4YTpi", 7}, PHASE_IDLE, "needs credentials; run it again"},
	    {{(const uint8_t *)"\2\0\1\1", 4}, PHASE_IDLE, "needs the options of its command; run it again"},
	    {{NULL, 0}, PHASE_QUEUED, NULL},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct transfer *t = get_from("one.io", rows[i].policy);
		append(t->in, 0, 1000);
		transfers_release(&transfers);
		transfers = (struct transfers){0};
		assert_true(LIST_EMPTY(&flow.policies));
		recover_all(&flow);
		t = transfers_find(&transfers, span_str(wanted));
		assert_non_null(t);
		assert_phase(t, rows[i].phase);
		if (rows[i].note)
			assert_string_equal(t->note, rows[i].note);
		t = get_from("one.io", rows[i].policy);
		queue_run(&flow);
		assert_int_equal(t->in->offset, 1000);
		assert_int_equal(queue_abort(&flow, span_str(wanted), NULL), 0);
		assert_null(transfers_find(&transfers, span_str(wanted)));
	}
}

#define FLOW_TEST(f) cmocka_unit_test_setup_teardown(f, flow_set_up, core_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    FLOW_TEST(test_next_source),
	    FLOW_TEST(test_order_that_is_wrong_fails_everywhere),
	    FLOW_TEST(test_many_sources),
	    FLOW_TEST(test_policy_is_gone_after_a_restart),
	    FLOW_TEST(test_from_the_order_to_the_seal),
	    FLOW_TEST(test_space_is_reserved_before_the_order),
	    FLOW_TEST(test_oversized_transfer_waits_for_space),
	    FLOW_TEST(test_wrong_bytes_start_over_once),
	    FLOW_TEST(test_request_resets_the_tries),
	    FLOW_TEST(test_step_waits_for_the_job),
	    FLOW_TEST(test_order_does_not_wait_for_the_job),
	    FLOW_TEST(test_later_step_replaces_a_waiting_one),
	    FLOW_TEST(test_error_rolls_back_once),
	    FLOW_TEST(test_failed_sync_rolls_back),
	    FLOW_TEST(test_failed_sync_before_a_close),
	    FLOW_TEST(test_failed_sync_before_a_removal),
	    FLOW_TEST(test_full_disk_is_waited_out),
	    FLOW_TEST(test_pauses_between_tries_for_space),
	    FLOW_TEST(test_suspended_transfer_is_durable),
	    FLOW_TEST(test_transfer_fed_by_put),
	    FLOW_TEST(test_tag_of_stored_content),
	    FLOW_TEST(test_tag_of_content_being_committed),
	    FLOW_TEST(test_tag_of_content_moved_before_a_restart),
	    FLOW_TEST(test_request_for_content_moved_before_a_restart),
	    FLOW_TEST(test_queued_transfer_rolls_back),
	    FLOW_TEST(test_resolved_transfer_waits_for_space),
	    FLOW_TEST(test_unverifiable_bytes_that_stay),
	    FLOW_TEST(test_attempts_only_grow),
	    FLOW_TEST(test_oldest_committed_transfer_is_forgotten),
	};
	return cmocka_run_group_tests_name("ingestd flow", tests, NULL, NULL);
}
