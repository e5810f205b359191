/* SPDX-License-Identifier: Apache-2.0 */
/* The sink: nothing is lost, duplicated or reordered, whatever the pipe accepts and when. */

/* Own */
#include "tests/unit/unit.h"
#include "tests/unit/unit_turn.h"

/* System */
#include <poll.h>
#include <signal.h>

/* Wire */
#include "common/wire/frame.h"

/* The code under test */
#include "fetchd/sink.h"

#define REF         "ref"
#define BYTES       (4u << 20)
#define PIECE       16384 /* the most that libcurl hands over at a time */
#define READ_MAX    3     /* messages received in a turn of the loop */
#define PATIENCE_MS 20000

struct reading {
	uint64_t offset; /* of the next byte */
	unsigned opened, ended, beats;
};

struct ends {
	struct unit_dir dir;
	struct loop *loop;
	struct pipe *push, *pull;
	struct sink *sink;
	struct outlet outlet;
	unsigned drained;
	struct loop_io readable;
	struct reading in;
};

static void on_drained(void *self)
{
	struct ends *e = self;
	e->drained++;
}

/* Without a reader. */
static void ends_make(struct ends *e)
{
	memset(e, 0, sizeof(*e));
	unit_dir_make(&e->dir);
	assert_int_equal(loop_new(&e->loop), 0);
	assert_int_equal(pipe_open(e->dir.path, PIPE_CHUNKS, PIPE_PUSH, &e->push), 0);
	assert_int_equal(sink_new_pipe(e->loop, e->push, &e->sink), 0);
	e->outlet.drained = on_drained;
	e->outlet.self = e;
	e->outlet.ref = span_str(REF);
	e->outlet.attempt = 7;
	outlet_init(&e->outlet, e->sink);
}

static void ends_remove(struct ends *e)
{
	loop_io_stop(&e->readable);
	outlet_release(&e->outlet);
	sink_free(e->sink);
	pipe_close(e->push);
	pipe_close(e->pull);
	loop_free(e->loop);
	unit_dir_remove(&e->dir);
}

/* Every byte depends on its offset, with a period that is not a power of two. */
static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset % 251);
}

static int put(struct outlet *o, size_t len)
{
	uint8_t piece[PIECE];
	for (size_t i = 0; i < len; i++)
		piece[i] = byte_at(o->offset + i);
	return outlet_put(o, piece, len);
}

static void take(struct reading *in, const struct message *m)
{
	assert_true(span_eq(m->ref, span_str(REF)));
	assert_int_equal(m->attempt, 7);
	assert_int_equal(in->ended, 0);
	in->opened += m->type == MSG_OPENED;
	in->ended += m->type == MSG_END;
	in->beats += m->type == MSG_BEAT;
	if (m->type != MSG_CHUNK)
		return;
	assert_int_equal(in->opened, 1);
	assert_int_equal(m->offset, in->offset);
	for (size_t i = 0; i < m->payload.len; i++)
		if (m->payload.data[i] != byte_at(in->offset + i))
			fail_msg("wrong byte at %llu", (unsigned long long)(in->offset + i));
	in->offset += m->payload.len;
}

static void on_readable(void *self, unsigned events)
{
	struct ends *e = self;
	struct message m;
	int r = 0;
	(void)events;
	for (unsigned i = 0; r == 0 && i < READ_MAX; i++) {
		r = pipe_receive(e->pull, &m, NULL);
		if (r == 0)
			take(&e->in, &m);
	}
	assert_true(r == 0 || r == -EAGAIN);
}

/* A reader, as long as the loop turns. */
static void reader_open(struct ends *e)
{
	assert_int_equal(pipe_open(e->dir.path, PIPE_CHUNKS, PIPE_PULL, &e->pull), 0);
	loop_io_init(&e->readable, e->loop, on_readable, e);
	loop_io_watch(&e->readable, pipe_receive_fd(e->pull), LOOP_READ);
}

/*
 * A reader that stops and continues, pieces of many sizes, flushes at odd moments: also of a partial chunk into a full
 * pipe, after which the chunk must not grow.
 */
static void test_back_pressure(void **state)
{
	struct ends e;
	struct message opened = {.type = MSG_OPENED, .size = BYTES}, end = {.type = MSG_END, .size = BYTES};
	struct message beat = {.type = MSG_BEAT, .text = span_str("waiting")};
	unsigned refusals = 0, seed = 1;
	(void)state;
	ends_make(&e);
	reader_open(&e);
	assert_int_equal(outlet_say(&e.outlet, &opened), 0);
	while (e.outlet.offset < BYTES) {
		size_t len = 1 + (size_t)rand_r(&seed) % PIECE;
		if (len > BYTES - e.outlet.offset)
			len = (size_t)(BYTES - e.outlet.offset);
		int r = put(&e.outlet, len);
		if (rand_r(&seed) % 16 == 0)
			assert_int_equal(outlet_flush(&e.outlet), 0);
		if (rand_r(&seed) % 64 == 0)
			assert_int_equal(outlet_say(&e.outlet, &beat), 0);
		if (r == 0)
			continue;
		assert_int_equal(r, -EAGAIN);
		refusals++;
		loop_turn(e.loop, true);
	}
	assert_int_equal(outlet_say(&e.outlet, &end), 0);
	unit_turn_until(e.loop, true, PATIENCE_MS, e.in.ended == 1);
	assert_true(refusals > 0);
	assert_true(e.drained > 0);
	assert_int_equal(e.in.opened, 1);
	assert_int_equal(e.in.offset, BYTES);
	assert_true(outlet_idle(&e.outlet));
	ends_remove(&e);
}

/* No peer yet: everything is kept in order, and only the later of two BEATs. */
static void test_kept(void **state)
{
	struct ends e;
	struct message opened = {.type = MSG_OPENED, .size = 5}, end = {.type = MSG_END, .size = 5};
	struct message beat = {.type = MSG_BEAT, .text = span_str("waiting")};
	(void)state;
	ends_make(&e);
	assert_int_equal(outlet_say(&e.outlet, &opened), 0);
	assert_int_equal(put(&e.outlet, 5), 0);
	assert_int_equal(outlet_say(&e.outlet, &beat), 0);
	assert_int_equal(outlet_say(&e.outlet, &beat), 0);
	assert_int_equal(outlet_say(&e.outlet, &end), 0);
	assert_false(outlet_idle(&e.outlet));
	assert_int_equal(e.drained, 0);
	reader_open(&e);
	unit_turn_until(e.loop, true, PATIENCE_MS, e.in.ended == 1);
	assert_int_equal(e.in.opened, 1);
	assert_int_equal(e.in.beats, 1);
	assert_int_equal(e.in.offset, 5);
	assert_int_equal(e.drained, 1);
	ends_remove(&e);
}

/* A partial chunk is sent when it is old enough. */
static void test_age(void **state)
{
	struct ends e;
	(void)state;
	ends_make(&e);
	reader_open(&e);
	e.in.opened = 1;
	struct pollfd can_send = {.fd = pipe_send_fd(e.push), .events = POLLIN};
	assert_int_equal(poll(&can_send, 1, PATIENCE_MS), 1);
	assert_int_equal(put(&e.outlet, 10), 0);
	assert_int_equal(e.outlet.chunk.payload_len, 10); /* still here */
	unit_turn_until(e.loop, true, PATIENCE_MS, e.in.offset > 0);
	assert_int_equal(e.in.offset, 10);
	ends_remove(&e);
}

static void test_descriptor(void **state)
{
	static const enum sink_form forms[] = {SINK_FRAMES, SINK_RAW};
	struct message opened = {.type = MSG_OPENED, .size = 300000}, end = {.type = MSG_END, .size = 300000};
	struct message beat = {.type = MSG_BEAT, .text = span_str("waiting")}, m;
	(void)state;
	for (size_t i = 0; i < LEN(forms); i++) {
		struct outlet o = {.ref = span_str(REF), .attempt = 7};
		struct loop *loop;
		FILE *file = tmpfile();
		struct sink *sink;
		assert_non_null(file);
		assert_int_equal(loop_new(&loop), 0);
		assert_int_equal(sink_new_fd(loop, fileno(file), forms[i], &sink), 0);
		outlet_init(&o, sink);
		assert_int_equal(outlet_say(&o, &opened), 0);
		while (o.offset < 300000)
			assert_int_equal(put(&o, 10000), 0);
		assert_int_equal(outlet_say(&o, &beat), 0);
		assert_int_equal(outlet_say(&o, &end), 0);
		outlet_release(&o);
		sink_free(sink);
		loop_free(loop);
		assert_int_equal(lseek(fileno(file), 0, SEEK_SET), 0);
		if (forms[i] == SINK_RAW) {
			struct stat st;
			assert_int_equal(fstat(fileno(file), &st), 0);
			assert_int_equal(st.st_size, 300000);
		} else {
			struct reading in = {0};
			struct frame_reader *reader;
			assert_int_equal(frame_reader_new(fileno(file), &reader), 0);
			while (frame_read(reader, &m, NULL) == 1)
				take(&in, &m);
			assert_int_equal(in.offset, 300000);
			assert_int_equal(in.ended, 1);
			assert_int_equal(in.beats, 0);
			frame_reader_free(reader);
		}
		(void)fclose(file);
	}
}

/* A reader that has gone is an error at once, and no chunk leaks. */
static void test_broken_descriptor(void **state)
{
	struct outlet o = {.ref = span_str(REF), .attempt = 7};
	struct loop *loop;
	struct sink *sink;
	int ends[2];
	(void)state;
	(void)signal(SIGPIPE, SIG_IGN);
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(close(ends[0]), 0);
	assert_int_equal(loop_new(&loop), 0);
	assert_int_equal(sink_new_fd(loop, ends[1], SINK_FRAMES, &sink), 0);
	outlet_init(&o, sink);
	assert_int_equal(put(&o, 10), 0);
	assert_int_equal(outlet_flush(&o), -EPIPE);
	assert_int_equal(put(&o, 10), -EPIPE);
	outlet_release(&o);
	sink_free(sink);
	loop_free(loop);
	(void)close(ends[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_back_pressure),
	    cmocka_unit_test(test_kept),
	    cmocka_unit_test(test_age),
	    cmocka_unit_test(test_descriptor),
	    cmocka_unit_test(test_broken_descriptor),
	};
	return cmocka_run_group_tests_name("fetchd sink", tests, NULL, NULL);
}
