/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests at ingestd, all of it but for sockets and threads: each has one answer, which is about what was requested;
 * only a request that names a transfer ends it; and once all are aborted nothing is left on the disk. An input is
 * lines:
 *
 *   >PACKET   a request (packet.h)
 *   .         time passes, and commitd names what is sealed
 *   b         fetchd brings all of what it was ordered last
 *   f         or fails
 *   v         another fetchd comes, without a version in common
 *   h         or with one
 */

/* Tests */
#include "tests/fuzz/packet.h"
#include "tests/unit/stand_in_ctl.h"
#include "tests/unit/stand_in_fs.h"
#include "tests/unit/stand_in_random.h"
#include "tests/unit/stand_in_stage.h"
#include "tests/unit/stand_in_workers.h"
#include "tests/unit/test_ingestd_disk.h"

/* Base */
#include "common/base/log.h"

/* The code under test */
#include "ingestd/control.h"
#include "ingestd/serve.h"
#include "ingestd/settings.h"

#define LINES           64
#define TURNS           4000 /* to end what is under way */
#define TURN_MS         1000u
#define WITNESS         "https://example.test/witness" /* requested first */
#define CONTENT         "content"

#define MESSAGES_A_TURN 8

enum { HONEST, HOSTILE }; /* clients */

static struct span input;

/* ── the stages at the other ends ── */

static struct {
	char ref[REF_MAX + 1];
	uint64_t attempt, offset; /* 0: there is no order */
} order;

static struct {
	uint64_t incarnation;
	bool is_strange; /* it has no version in common with ingestd */
} fetchd;

static void say_hello(enum pipe_name name, uint64_t self, uint64_t named)
{
	struct message m = {.type = MSG_HELLO, .incarnation = self, .peer = named};

	stage_introduce(&m);
	stand_in_pipe_put(name, &m);
}

/* What the one before was ordered is lost. */
static void start_fetchd(bool is_strange)
{
	struct message m = {.type = MSG_HELLO, .incarnation = ++fetchd.incarnation};

	stage_introduce(&m);
	if (is_strange)
		m.lowest = m.highest = WIRE_VERSION + 1;
	stand_in_pipe_put(PIPE_CHUNKS, &m);
	fetchd.is_strange = is_strange;
	order.attempt = 0;
}

/* The last order for anything but the witness, which is never brought. Whoever logs in is refused. */
static void take_orders(void)
{
	struct message m;
	char ref[REF_MAX + 1];

	while (stand_in_pipe_take(PIPE_ORDERS, &m)) {
		if (m.type != MSG_FETCH || span_eq(m.ref, span_str(WITNESS)))
			continue;
		(void)snprintf(ref, sizeof(ref), "%.*s", SPAN_ARG(m.ref));
		if (strncmp(ref, SOURCE_REGISTRY_SCHEME, strlen(SOURCE_REGISTRY_SCHEME)) == 0) {
			const struct message refused = {.type = MSG_FAIL,
							.ref = span_str(ref),
							.attempt = m.attempt,
							.fail_class = FAIL_DENIED,
							.text = span_str("refused")};
			stand_in_pipe_put(PIPE_CHUNKS, &refused);
			continue;
		}
		(void)snprintf(order.ref, sizeof(order.ref), "%.*s", SPAN_ARG(m.ref));
		order.attempt = m.attempt;
		order.offset = m.offset;
	}
}

static void fail_order(void)
{
	const struct message fail = {.type = MSG_FAIL,
				     .ref = span_str(order.ref),
				     .attempt = order.attempt,
				     .fail_class = FAIL_NOT_FOUND,
				     .text = span_str("there is no such thing")};

	if (order.attempt > 0)
		stand_in_pipe_put(PIPE_CHUNKS, &fail);
	order.attempt = 0;
}

static void serve_order(void)
{
	struct message m = {
	    .type = MSG_OPENED, .ref = span_str(order.ref), .attempt = order.attempt, .offset = order.offset};
	struct chunk chunk;

	if (order.attempt == 0 || order.offset >= strlen(CONTENT))
		return;
	m.size = strlen(CONTENT);
	stand_in_pipe_put(PIPE_CHUNKS, &m);
	m.type = MSG_CHUNK;
	size_t len = strlen(CONTENT) - (size_t)order.offset;
	FUZZ_CHECK(pipe_chunk_new(&stand_in_pipes[PIPE_CHUNKS], &m, len, &chunk) == 0);
	memcpy(chunk.payload, &CONTENT[order.offset], len);
	chunk.payload_len = len;
	FUZZ_CHECK(pipe_chunk_send(&stand_in_pipes[PIPE_CHUNKS], &chunk) == 0);
	m.type = MSG_END;
	stand_in_pipe_put(PIPE_CHUNKS, &m);
	order.attempt = 0;
}

/* Like commitd, under its digest and once. False: it was aborted meanwhile. */
static bool name_sealed(const struct message *seal)
{
	char from[FILE_PATH_SIZE], to[FILE_PATH_SIZE], id[INGEST_ID_SIZE], hex[DIGEST_TEXT_SIZE];
	struct digest d;

	FUZZ_CHECK(digest_parse(seal->digest, &d, NULL) == 0);
	digest_format_hex(&d, hex);
	layout_ingest_id(seal->ref, id);
	(void)snprintf(from, sizeof(from), "store/ingest/%s/data", id);
	(void)snprintf(to, sizeof(to), "store/blobs/%s/%s", hash_name(d.alg), hex);
	return unit_exists(&dir, to) || renameat(dir.fd, from, dir.fd, to) == 0;
}

static void take_seals(void)
{
	struct message m;

	while (stand_in_pipe_take(PIPE_SEALS, &m)) {
		if (m.type == MSG_HELLO)
			say_hello(PIPE_RECEIPTS, 502, m.incarnation);
		if (m.type != MSG_SEALED)
			continue;
		const struct message receipt = {.type = name_sealed(&m) ? MSG_COMMITTED : MSG_REJECTED,
						.ref = m.ref,
						.digest = m.digest,
						.fail_class = FAIL_MISSING};
		stand_in_pipe_put(PIPE_RECEIPTS, &receipt);
	}
}

static void turn(void)
{
	for (unsigned i = 0; i < MESSAGES_A_TURN; i++)
		loop_turn(&stand_in_loop, false);
	take_orders();
	take_seals();
	while (stand_in_workers_run(&stand_in_workers))
		continue;
	stand_in_pass(TURN_MS);
}

/* ── the clients ── */

/* The one answer to a request. */
static void ask(unsigned client, const struct message *request, struct message *ret_answer)
{
	struct message more;

	FUZZ_CHECK(stand_in_ctl_ask(client, request));
	FUZZ_CHECK(!stand_in_ctl.clients[client].waits);
	FUZZ_CHECK(stand_in_ctl_hear(client, ret_answer) && stand_in_ctl.clients[client].len == 0);
	FUZZ_CHECK(!stand_in_ctl_hear(client, &more));
}

static bool is_ref_of(const struct message *get)
{
	struct digest d;
	struct reason why;
	char ref[REF_MAX + 1];

	return (get->expected.len == 0 || digest_parse(get->expected, &d, &why) == 0) &&
	       ref_of_source(get->source, get->expected.len > 0 ? &d : NULL, ref, &why) == 0 &&
	       span_eq(get->ref, span_str(ref));
}

/* Comparing bytes; a prefix comes first. */
static bool is_behind(struct span a, struct span b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int by_bytes = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return by_bytes > 0 || (by_bytes == 0 && a.len > b.len);
}

/* Nobody would bring its bytes, and a client has to know. */
static bool is_stuck(const struct message *record)
{
	return fetchd.is_strange && (record->state == TRANSFER_QUEUED || record->state == TRANSFER_FETCHING);
}

static void check_class(const struct message *q, const struct message *record)
{
	if (is_stuck(record) && (q->type == MSG_STATUS || q->type == MSG_NEXT))
		FUZZ_CHECK(record->fail_class == FAIL_UNAVAILABLE && record->text.len > 0);
	else
		FUZZ_CHECK((record->state == TRANSFER_FAILED) == (record->fail_class != FAIL_NONE));
}

static void check_answer(const struct message *q, const struct message *a)
{
	FUZZ_CHECK(a->type == MSG_RECORD || a->type == MSG_OK || a->type == MSG_ERROR || a->type == MSG_COUNTS ||
		   a->type == MSG_ITEM);
	FUZZ_CHECK((a->type == MSG_ITEM) <= (q->type == MSG_GC_ITEM));
	FUZZ_CHECK((a->type == MSG_OK) <= (q->type == MSG_ABORT));
	FUZZ_CHECK((a->type == MSG_COUNTS) <= (q->type == MSG_STATS && q->stage == a->stage));
	FUZZ_CHECK((a->type == MSG_ERROR) <= (a->text.len > 0 && a->fail_class != FAIL_NONE));
	if (a->type != MSG_RECORD)
		return;
	FUZZ_CHECK(q->type == MSG_GET || q->type == MSG_STATUS || q->type == MSG_NEXT || q->type == MSG_RESET);
	FUZZ_CHECK(q->type == MSG_NEXT ? is_behind(a->ref, q->ref) : span_eq(a->ref, q->ref));
	FUZZ_CHECK(q->type != MSG_GET || (is_ref_of(q) && !is_stuck(a)));
	FUZZ_CHECK(a->size == SIZE_UNKNOWN || a->offset <= a->size);
	check_class(q, a);
}

static bool ends_witness(const struct message *q)
{
	return (q->type == MSG_ABORT || q->type == MSG_RESET) && span_eq(q->ref, span_str(WITNESS));
}

/* It is answered at once if it cannot be tried, else when that has been done. */
static void ask_patiently(unsigned client, const struct message *q, struct message *ret_answer)
{
	unsigned turns = 0;

	FUZZ_CHECK(stand_in_ctl_ask(client, q));
	while (stand_in_ctl.clients[client].waits) {
		turn();
		FUZZ_CHECK(turns++ < TURNS);
	}
	FUZZ_CHECK(stand_in_ctl_hear(client, ret_answer));
}

static void log_in(const struct message *q)
{
	struct message a;

	ask_patiently(HOSTILE, q, &a);
	FUZZ_CHECK(a.type == MSG_ERROR && a.text.len > 0);
}

/* It removes no transfer that is under way, and leaves no trace of those that it removes. */
static void collect(unsigned client, const struct message *q)
{
	struct message a;

	ask_patiently(client, q, &a);
	FUZZ_CHECK(a.type == MSG_COLLECTED && a.fail_class == FAIL_NONE);
}

static void take_packet(struct span line, bool *has_witness)
{
	static struct packet p;
	struct message q, a;

	if (!packet_request(line, &p, &q))
		return;
	if (q.type == MSG_LOGIN) {
		log_in(&q);
		return;
	}
	if (q.type == MSG_GC) {
		collect(HOSTILE, &q);
		return;
	}
	*has_witness = *has_witness && !ends_witness(&q);
	ask(HOSTILE, &q, &a);
	check_answer(&q, &a);
}

static void check_witness(void)
{
	struct message a;

	ask(HONEST, &(struct message){.type = MSG_STATUS, .ref = span_str(WITNESS)}, &a);
	FUZZ_CHECK(a.type == MSG_RECORD && a.state != TRANSFER_FAILED && a.state != TRANSFER_COMMITTED);
}

/* The list ends, and aborting what it has leaves nothing. */
static void abort_all(void)
{
	char ref[REF_MAX + 1];
	struct message a;
	unsigned turns = 0;

	for (;;) {
		ask(HONEST, &(struct message){.type = MSG_NEXT}, &a);
		if (a.type != MSG_RECORD)
			break;
		(void)snprintf(ref, sizeof(ref), "%.*s", SPAN_ARG(a.ref));
		ask(HONEST, &(struct message){.type = MSG_ABORT, .ref = span_str(ref)}, &a);
		FUZZ_CHECK(a.type == MSG_OK || a.fail_class == FAIL_AGAIN);
		turn();
		FUZZ_CHECK(turns++ < TURNS);
	}
	collect(HONEST, &(struct message){.type = MSG_GC, .size = SIZE_UNKNOWN}); /* forgets the ages */
	struct unit_dir ingests = {.fd = -1};
	(void)snprintf(ingests.path, sizeof(ingests.path), "%.40s/store/ingest", dir.path);
	FUZZ_CHECK(unit_count(&ingests) == 1); /* the lock */
}

static void script(void)
{
	bool has_witness = true;
	struct message a;

	start_fetchd(false);
	say_hello(PIPE_RECEIPTS, 502, 0);
	ask(HONEST,
	    &(struct message){
		.type = MSG_GET, .ref = span_str(WITNESS), .source = span_str(WITNESS), .size = SIZE_UNKNOWN},
	    &a);
	FUZZ_CHECK(a.type == MSG_RECORD);
	for (unsigned i = 0; input.len > 0 && i < LINES; i++) {
		struct span line = fuzz_until(&input, '\n');
		if (line.len > 0 && line.data[0] == '>')
			take_packet(span_of(line.data + 1, line.len - 1), &has_witness);
		else if (line.len > 0 && line.data[0] == 'b')
			serve_order();
		else if (line.len > 0 && line.data[0] == 'f')
			fail_order();
		else if (line.len > 0 && (line.data[0] == 'v' || line.data[0] == 'h'))
			start_fetchd(line.data[0] == 'v');
		turn();
	}
	if (has_witness)
		check_witness();
	abort_all();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char path[FILE_PATH_SIZE];

	input = span_of(data, len);
	log_set_level(LOG_LEVEL_ERROR);
	stand_in_random = 1;
	stand_in_fs_begin();
	(void)set_up(NULL);
	FUZZ_CHECK(mkdirat(dir.fd, "store/blobs", 0755) == 0);
	FUZZ_CHECK(mkdirat(dir.fd, "store/blobs/sha256", 0755) == 0 &&
		   mkdirat(dir.fd, "store/blobs/sha512", 0755) == 0);
	order.attempt = 0;
	fetchd.incarnation = 500;
	const struct settings settings = {
	    .store = unit_path(&dir, "store", path),
	    .boot_id = "0123456789abcdef0123456789abcdef",
	    .runtime_dir = "",
	    .max_active = 2,
	    .checkpoint_bytes = UINT64_C(1) << 30,
	    .checkpoint_interval_ms = 3600000,
	    .lease_ms = 30000,
	};
	stand_in_stage.script = script;
	FUZZ_CHECK(serve_run(&settings) == 0);
	(void)tear_down(NULL);
	return 0;
}
