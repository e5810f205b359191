/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core of ingestd, from GET to COMMITTED: queue, steps, links, chunks, receipts, turns and recovery on a real
 * store, linked to stand-ins for loop, clock, pipes and workers. One process, no thread, no sleep. The test plays
 * fetchd and commitd. Pipes lose messages in flight, and ingestd restarts in the middle. Longer than 500 lines because
 * all tests share one scene.
 */

/* Own */
#include "tests/unit/stand_in_loop.h"
#include "tests/unit/stand_in_workers.h"
#include "tests/unit/test_ingestd_peers.h"

/* OCI */
#include "common/oci/json.h"

/* The code under test */
#include "ingestd/chunks.h"
#include "ingestd/queue.h"
#include "ingestd/receipts.h"
#include "ingestd/recover.h"
#include "ingestd/turn.h"

#define SOURCE      REF
#define PIECE       4000u
#define TURN_MS     10u
#define TURNS_MAX   100000u
#define STRIDE      3u
#define LEASE_MS    30000u
#define EVERY_BYTES 65536u /* a durable checkpoint */

/* ── ingestd ── */

static struct settings settings;
static struct transfers transfers;
static struct flow flow;
static struct loop *loop;
static struct chunks *chunks;
static struct receipts *receipts;
static struct turn *turns;
static uint64_t incarnation;

static void ingestd_start(void)
{
	loop = stand_in_loop_begin(stand_in_pipe_is_ready);
	transfers = (struct transfers){0};
	flow = (struct flow){.settings = &settings, .home = &home, .transfers = &transfers};
	incarnation++;
	assert_int_equal(workers_new(loop, 1, &flow.workers), 0);
	assert_int_equal(orders_new(&transfers, &flow.orders), 0);
	assert_int_equal(seals_new(&transfers, &flow.seals), 0);
	assert_int_equal(events_new(&flow.events), 0);
	assert_int_equal(chunks_new(loop, "", incarnation, &flow, &chunks), 0);
	assert_int_equal(receipts_new(loop, "", incarnation, &flow, &receipts), 0);
	assert_int_equal(turn_new(loop, &flow, &turns), 0);
	recover_all(&flow);
}

/* End it like a kill: nothing is flushed, and the content of its pipes is lost. */
static void ingestd_end(void)
{
	workers_free(flow.workers);
	transfers_release(&transfers);
	turn_free(turns);
	chunks_free(chunks);
	receipts_free(receipts);
	orders_free(flow.orders);
	seals_free(flow.seals);
	events_free(flow.events);
	stand_in_loop_end();
}

/* ── the scene ── */

static int scene_set_up(void **state)
{
	(void)set_up(state);
	settings = (struct settings){
	    .max_active = 2, .checkpoint_bytes = EVERY_BYTES, .checkpoint_interval_ms = 3600000, .lease_ms = LEASE_MS};
	peers_begin(PIECE);
	ingestd_start();
	say_hello(PIPE_CHUNKS, 501, 0);
	commitd_starts(502);
	return 0;
}

static int scene_tear_down(void **state)
{
	ingestd_end();
	return tear_down(state);
}

static void request(void)
{
	const struct message m = {
	    .type = MSG_GET, .ref = span_str(REF), .source = span_str(SOURCE), .size = SIZE_UNKNOWN};
	struct transfer *t;
	uint64_t size;
	enum fail_class class;
	struct reason why;

	assert_int_equal(queue_get(&flow, &m, NULL, &t, &size, &class, &why), 0);
	assert_non_null(t);
}

static struct transfer *the_transfer(void)
{
	return transfers_find(&transfers, span_str(REF));
}

/* One turn for each part; a job takes a turn. */
static void turn(void)
{
	loop_turn(loop, false);
	if (the_transfer())
		transfer_check(the_transfer());
	fetchd_turns();
	commitd_turns();
	(void)stand_in_workers_run(flow.workers);
	stand_in_pass(TURN_MS);
}

static void turn_until(bool (*is_so)(void))
{
	for (unsigned i = 0; !is_so(); i++) {
		if (i == TURNS_MAX)
			fail_msg("in vain: phase %d at %llu", (int)the_transfer()->phase,
				 (unsigned long long)the_transfer()->offset);
		turn();
	}
}

static bool is_committed(void)
{
	return the_transfer()->phase == PHASE_COMMITTED;
}

static bool is_half_there(void)
{
	return the_transfer()->in && the_transfer()->in->offset >= sizeof(content) / 2 &&
	       stand_in_pipes[PIPE_CHUNKS].len > 0;
}

static bool is_sealed(void)
{
	return the_transfer()->phase == PHASE_SEAL_SENT;
}

/* The blob is stored, byte for byte, and no ingest is left. */
static void assert_done(void)
{
	static uint8_t got[sizeof(content) + 1];
	struct stat st;
	int fd;

	turn_until(is_committed);
	assert_int_equal(layout_blob_open(home.layout, &content_digest, &fd, &st), 0);
	assert_int_equal(read(fd, got, sizeof(got)), sizeof(content));
	assert_memory_equal(got, content, sizeof(content));
	assert_int_equal(st.st_mode & 07777, 0444);
	assert_int_equal(close(fd), 0);
	char path[FILE_PATH_SIZE];
	char id[INGEST_ID_SIZE];
	layout_ingest_id(span_str(REF), id);
	(void)snprintf(path, sizeof(path), "store/ingest/%s", id);
	assert_false(unit_exists(&dir, path));
	assert_true(the_transfer()->has_digest && digest_eq(&the_transfer()->digest, &content_digest));
}

/* ── tests ── */

static void test_from_get_to_committed(void **state)
{
	(void)state;
	request();
	assert_done();
	assert_int_equal(fetchd.orders, 1);
	assert_int_equal(fetchd.sent, sizeof(content));
	assert_int_equal(commitd.seals, 1);
}

/* fetchd sends the lost chunks again, and no others. */
static void test_lost_chunks_are_sent_again(void **state)
{
	(void)state;
	request();
	turn_until(is_half_there);
	uint64_t have = the_transfer()->in->offset;
	stand_in_pipe_break(PIPE_CHUNKS);
	uint64_t lost = fetchd.offset - have;
	assert_true(lost > 0);
	assert_done();
	assert_int_equal(fetchd.orders, 2);
	assert_true(fetchd.sent >= sizeof(content) + lost);
	assert_true(fetchd.sent <= sizeof(content) + lost + ROOM_DEFAULT * PIECE);
}

/* The order is lost with the connection. After the HELLO of the new connection it is sent again. */
static void test_lost_order_is_sent_again_after_hello(void **state)
{
	(void)state;
	loop_turn(loop, false);
	loop_turn(loop, false);
	request();
	loop_turn(loop, false);
	stand_in_pipe_break(PIPE_ORDERS);
	uint64_t attempt = the_transfer()->in->record.attempt;
	say_hello(PIPE_CHUNKS, 501, incarnation);
	assert_done();
	assert_int_equal(fetchd.attempt, attempt);
	assert_int_equal(fetchd.orders, 1);
}

/* Without a HELLO, the order is sent again when the lease expires. */
static void test_lost_order_is_sent_again_after_the_lease(void **state)
{
	(void)state;
	turn();
	turn();
	request();
	loop_turn(loop, false);
	assert_int_equal(the_transfer()->phase, PHASE_ORDERED);
	stand_in_pipe_break(PIPE_ORDERS);
	uint64_t before_ms = loop->now_ms;
	assert_done();
	assert_true(loop->now_ms - before_ms >= LEASE_MS);
	assert_int_equal(fetchd.orders, 1);
	assert_int_equal(fetchd.sent, sizeof(content));
}

static void test_lost_seal_is_sent_again(void **state)
{
	(void)state;
	request();
	commitd.is_mute = true;
	turn_until(is_sealed);
	turn();
	assert_int_equal(commitd.seals, 1);
	commitd.is_mute = false;
	commitd_starts(503); /* a new commitd without the state of the old one */
	assert_done();
	assert_int_equal(commitd.seals, 2);
}

/* The blob has its name then, and the ingest has no data. */
static void test_lost_receipt_is_requested_again(void **state)
{
	(void)state;
	request();
	turn_until(is_sealed);
	commitd_turns();
	stand_in_pipe_break(PIPE_RECEIPTS);
	assert_int_equal(the_transfer()->phase, PHASE_SEAL_SENT);
	ingestd_end();
	ingestd_start();
	commitd_starts(502);
	assert_done();
	assert_true(commitd.seals >= 2); /* sent again after the HELLO */
	assert_int_equal(fetchd.orders, 1);
}

/* The transfer resumes at its size. Only bytes in flight are sent again, and nothing is hashed again. */
static void test_restart_of_ingestd(void **state)
{
	(void)state;
	request();
	turn_until(is_half_there);
	uint64_t have = the_transfer()->in->offset, in_flight = fetchd.offset - have;
	ingestd_end();
	ingestd_start();
	say_hello(PIPE_CHUNKS, 501, incarnation - 1);
	say_hello(PIPE_RECEIPTS, 502, incarnation - 1);
	turn();
	assert_int_equal(the_transfer()->in->offset, have);
	assert_int_equal(the_transfer()->in->rehashed, 0);
	assert_done();
	assert_int_equal(fetchd.sent, sizeof(content) + in_flight);
}

/* After a reboot the transfer resumes at its durable checkpoint. */
static void test_reboot(void **state)
{
	(void)state;
	request();
	turn_until(is_half_there);
	uint64_t durable = the_transfer()->in->durable_offset, sent = fetchd.offset;
	assert_true(durable >= EVERY_BYTES);
	ingestd_end();
	home.boot_id[0]++;
	ingestd_start();
	say_hello(PIPE_CHUNKS, 504, 0);
	commitd_starts(505);
	turn();
	assert_int_equal(the_transfer()->in->offset, durable);
	assert_done();
	assert_int_equal(fetchd.sent, sizeof(content) + sent - durable);
}

/* Restart after every few turns. The transfer always succeeds, and only bytes in flight are sent twice. */
static void test_restart_of_ingestd_at_any_turn(void **state)
{
	bool was_done = false;
	for (unsigned at = 1; !was_done; at += STRIDE) {
		(void)scene_tear_down(state);
		(void)scene_set_up(state);
		request();
		for (unsigned i = 0; i < at && !is_committed(); i++)
			turn();
		was_done = is_committed();
		if (!was_done) {
			ingestd_end();
			ingestd_start();
			say_hello(PIPE_CHUNKS, 501, incarnation - 1);
			say_hello(PIPE_RECEIPTS, 502, incarnation - 1);
		}
		assert_done();
		assert_true(fetchd.sent <= sizeof(content) + (ROOM_DEFAULT + 1) * PIECE);
	}
}

/* A stop makes all received bytes durable, and then ends the loop. */
static void test_ingestd_stops(void **state)
{
	(void)state;
	request();
	turn_until(is_half_there);
	uint64_t have = the_transfer()->in->offset;
	chunks_stop(chunks);
	receipts_stop(receipts);
	turn_stop(turns);
	for (unsigned i = 0; !loop->broken; i++) {
		assert_true(i < 10);
		turn();
	}
	assert_null(the_transfer()->in);
	ingestd_end();
	home.boot_id[0]++;
	ingestd_start();
	say_hello(PIPE_CHUNKS, 501, 0);
	commitd_starts(502);
	turn();
	assert_int_equal(the_transfer()->in->offset, have);
	assert_done();
}

/* ── messages that were not requested ── */

#define OTHER "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* fetchd receives all pending messages. */
static void hear_orders(void)
{
	struct message m;

	for (unsigned i = 0; i < 5; i++) {
		loop_turn(loop, false);
		while (stand_in_pipe_take(PIPE_ORDERS, &m))
			;
	}
}

/* Request `ref` and send its order. */
static struct transfer *order(const char *ref, const char *source, const char *expected)
{
	const struct message m = {.type = MSG_GET,
				  .ref = span_str(ref),
				  .source = span_str(source),
				  .expected = span_str(expected),
				  .size = SIZE_UNKNOWN};
	struct transfer *t;
	uint64_t size;
	enum fail_class class;
	struct reason why;

	hear_orders();
	assert_int_equal(queue_get(&flow, &m, NULL, &t, &size, &class, &why), 0);
	hear_orders();
	assert_non_null(t);
	assert_int_equal(t->phase, PHASE_ORDERED);
	return t;
}

/* fetchd sends a message about it, under the current attempt. */
static void say(const struct transfer *t, struct message m)
{
	m.ref = span_str(t->ref);
	m.attempt = t->in->record.attempt;
	stand_in_pipe_put(PIPE_CHUNKS, &m);
	loop_turn(loop, false);
}

/* fetchd may resolve a tag, but cannot replace a requested digest, before or after a restart. */
static void test_requested_digest_cannot_be_replaced(void **state)
{
	char wanted[DIGEST_TEXT_SIZE];
	const struct message resolved = {.type = MSG_RESOLVED, .digest = span_str(OTHER)};
	(void)state;
	digest_format(&content_digest, wanted);
	const struct {
		const char *ref, *source, *expected;
	} rows[] = {
	    {wanted, SOURCE, wanted},
	    {wanted, "manifest://example.test/a:1", wanted},
	    {SOURCE, SOURCE, NULL},
	};
	for (unsigned is_new = 0; is_new < 2; is_new++)
		for (size_t i = 0; i < LEN(rows); i++) {
			struct transfer *t = order(rows[i].ref, rows[i].source, rows[i].expected);
			if (is_new) {
				ingestd_end();
				ingestd_start();
				say_hello(PIPE_CHUNKS, 501, incarnation - 1);
				hear_orders();
				t = transfers_find(&transfers, span_str(rows[i].ref));
			}
			say(t, resolved);
			assert_int_equal(t->phase, PHASE_FAILED);
			assert_int_equal(t->fail_class, FAIL_BAD_DATA);
			order(rows[i].ref, rows[i].source, rows[i].expected);
			assert_int_equal(t->in->record.has_expected, rows[i].expected != NULL);
			if (rows[i].expected)
				assert_true(digest_eq(&t->in->record.expected, &content_digest));
			flow_halt(&flow, t, STEP_REMOVE);
		}
}

/* The digest of a tag is accepted, also once more after a HELLO. A later order requests that digest. */
static void test_resolved_digest_is_accepted(void **state)
{
	const struct message resolved = {.type = MSG_RESOLVED, .digest = span_str(OTHER)};
	(void)state;
	struct transfer *t = order("manifest://example.test/a:1", "manifest://example.test/a:1", NULL);
	say_hello(PIPE_CHUNKS, 503, incarnation);
	loop_turn(loop, false);
	say(t, resolved);
	assert_true(t->in->record.has_expected && transfer_has(t, MARK_RESOLVED));
	loop_turn(loop, false);
	assert_int_equal(t->phase, PHASE_ORDERED);
	say(t, resolved);
	assert_int_equal(t->phase, PHASE_FAILED);
}

/* Bytes and ends are valid only after an OPENED of this attempt. Otherwise they are ordered again. */
static void test_bytes_without_opened_are_refused(void **state)
{
	const struct message end = {.type = MSG_END, .size = 0};
	(void)state;
	struct transfer *t = order(SOURCE, SOURCE, NULL);
	uint64_t attempt = t->in->record.attempt;
	say(t, end);
	assert_true(t->in->record.attempt > attempt);
	loop_turn(loop, false);
	assert_int_equal(t->phase, PHASE_ORDERED);
	attempt = t->in->record.attempt;
	fetchd = (struct fetchd){.piece = PIECE, .attempt = attempt, .runs = true};
	send_piece();
	loop_turn(loop, false);
	assert_int_equal(t->in->offset, 0);
	assert_true(t->in->record.attempt > attempt);
}

/* An end below the offset invalidates all bytes. */
static void test_end_below_the_offset_is_refused(void **state)
{
	const struct message end = {.type = MSG_END, .size = 1}, opened = {.type = MSG_OPENED, .size = SIZE_UNKNOWN};
	(void)state;
	struct transfer *t = order(SOURCE, SOURCE, NULL);
	say(t, opened);
	fetchd = (struct fetchd){.piece = PIECE, .attempt = t->in->record.attempt, .runs = true};
	send_piece();
	loop_turn(loop, false);
	assert_int_equal(t->in->offset, PIECE);
	say(t, end);
	assert_int_equal(t->in->offset, 0);
	assert_int_equal(t->in->record.restarts, 1);
	assert_int_equal(t->in->record.size, SIZE_UNKNOWN);
}

/* A false size from fetchd does not block a transfer for ever: a new fetchd, or a new request, learns it again. */
static void test_impossible_size_is_learned_again(void **state)
{
	const struct message huge = {.type = MSG_OPENED, .size = INT64_MAX};
	(void)state;
	struct transfer *t = order(SOURCE, SOURCE, NULL);
	for (unsigned i = 0; i < 2; i++) {
		say(t, huge);
		assert_int_equal(t->phase, PHASE_FOR_SPACE);
		stand_in_pass(10 * 60 * 1000);
		loop_turn(loop, false);
		assert_int_equal(t->phase, PHASE_FOR_SPACE);
		if (i == 0)
			request();
		else
			say_hello(PIPE_CHUNKS, 507, incarnation);
		hear_orders();
		assert_int_equal(t->phase, PHASE_ORDERED);
		assert_int_equal(t->in->record.size, SIZE_UNKNOWN);
	}
}

static void say_zeros(const struct transfer *t, uint64_t offset, size_t len)
{
	const struct message m = {
	    .type = MSG_CHUNK, .ref = span_str(t->ref), .attempt = t->in->record.attempt, .offset = offset};
	struct chunk chunk;

	assert_int_equal(pipe_chunk_new(&stand_in_pipes[PIPE_CHUNKS], &m, len, &chunk), 0);
	memset(chunk.payload, 0, len);
	chunk.payload_len = len;
	assert_int_equal(pipe_chunk_send(&stand_in_pipes[PIPE_CHUNKS], &chunk), 0);
	loop_turn(loop, false);
}

/* An oversized manifest is dropped, whether its size was announced or not; one that fits is accepted. */
static void test_oversized_manifest(void **state)
{
	static const char source[] = "manifest://example.test/app:1";
	static const struct {
		uint64_t offset, size;
		size_t payload;
		bool is_taken;
	} rows[] = {
	    {0, JSON_DOCUMENT_MAX, 0, true},
	    {0, JSON_DOCUMENT_MAX + 1, 0, false},
	    {0, INT64_MAX, 0, false},
	    {JSON_DOCUMENT_MAX - 1, SIZE_UNKNOWN, 1, true},
	    {JSON_DOCUMENT_MAX - 1, SIZE_UNKNOWN, 2, false},
	    {JSON_DOCUMENT_MAX, SIZE_UNKNOWN, 1, false},
	};
	static const uint8_t zeros[JSON_DOCUMENT_MAX];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		size_t accepted;
		struct transfer *t = order(source, source, NULL);
		assert_int_equal(ingest_append(t->in, zeros, (size_t)rows[i].offset, &accepted), 0);
		say(t, (struct message){.type = MSG_OPENED, .offset = rows[i].offset, .size = rows[i].size});
		if (rows[i].payload > 0)
			say_zeros(t, rows[i].offset, rows[i].payload);
		assert_int_equal(t->in->record.restarts, rows[i].is_taken ? 0 : 1);
		assert_int_equal(t->in->offset, rows[i].is_taken ? rows[i].offset + rows[i].payload : 0);
		assert_int_equal(queue_abort(&flow, span_str(source), NULL), 0);
		(void)stand_in_workers_run(flow.workers);
		assert_null(transfers_find(&transfers, span_str(source)));
	}
}

/*
 * A size that only fetchd reported does not outlast a failure where a digest decides: the next request learns it again.
 */
static void test_wrong_size_does_not_last(void **state)
{
	char wanted[DIGEST_TEXT_SIZE];
	const struct message fail = {.type = MSG_FAIL, .fail_class = FAIL_BAD_DATA};
	const struct message opened = {.type = MSG_OPENED, .size = 100};
	(void)state;
	digest_format(&content_digest, wanted);
	for (unsigned bytes = 0; bytes < 2; bytes++) {
		struct transfer *t = order(wanted, SOURCE, wanted);
		say(t, opened);
		assert_int_equal(t->in->record.size, opened.size);
		if (bytes > 0)
			say_zeros(t, 0, bytes);
		assert_int_equal(t->in->offset, bytes);
		say(t, fail);
		assert_int_equal(t->phase, PHASE_FAILED);
		t = order(wanted, SOURCE, wanted);
		assert_int_equal(t->in->record.size, SIZE_UNKNOWN);
		assert_int_equal(t->in->offset, bytes);
	}
}

#define SCENE(f) cmocka_unit_test_setup_teardown(f, scene_set_up, scene_tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    SCENE(test_from_get_to_committed),
	    SCENE(test_lost_chunks_are_sent_again),
	    SCENE(test_lost_order_is_sent_again_after_hello),
	    SCENE(test_lost_order_is_sent_again_after_the_lease),
	    SCENE(test_lost_seal_is_sent_again),
	    SCENE(test_lost_receipt_is_requested_again),
	    SCENE(test_restart_of_ingestd),
	    SCENE(test_reboot),
	    SCENE(test_restart_of_ingestd_at_any_turn),
	    SCENE(test_ingestd_stops),
	    SCENE(test_requested_digest_cannot_be_replaced),
	    SCENE(test_resolved_digest_is_accepted),
	    SCENE(test_bytes_without_opened_are_refused),
	    SCENE(test_end_below_the_offset_is_refused),
	    SCENE(test_impossible_size_is_learned_again),
	    SCENE(test_oversized_manifest),
	    SCENE(test_wrong_size_does_not_last),
	};
	return cmocka_run_group_tests_name("ingestd core", tests, NULL, NULL);
}
