/* SPDX-License-Identifier: Apache-2.0 */
/* Frames over a pipe: whole, cut off anywhere, and invalid. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "common/wire/frame.h"

struct pipe_pair {
	int out, in;
	struct frame_reader *reader;
};

static void pair_open(struct pipe_pair *p)
{
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	(void)fcntl(fds[1], F_SETPIPE_SZ, 1 << 20);
	p->in = fds[0];
	p->out = fds[1];
	assert_int_equal(frame_reader_new(p->in, &p->reader), 0);
}

static void pair_end(struct pipe_pair *p)
{
	(void)close(p->out);
	p->out = -1;
}

static void pair_close(struct pipe_pair *p)
{
	frame_reader_free(p->reader);
	(void)close(p->in);
	if (p->out >= 0)
		(void)close(p->out);
}

static void test_frames(void **state)
{
	static uint8_t payload[CHUNK_PAYLOAD_MAX];
	struct message chunk = {
	    .type = MSG_CHUNK, .ref = span_str("r"), .offset = 12, .payload = span_of(payload, sizeof(payload))};
	struct message end = {.type = MSG_END, .ref = span_str("r"), .size = 99}, m;
	struct pipe_pair p;

	(void)state;
	memset(payload, 'b', sizeof(payload));
	pair_open(&p);
	assert_int_equal(frame_write(p.out, &chunk), 0);
	assert_int_equal(frame_write(p.out, &end), 0);
	pair_end(&p);
	assert_int_equal(frame_read(p.reader, &m, NULL), 1);
	assert_int_equal(m.offset, 12);
	assert_int_equal(m.payload.len, sizeof(payload));
	assert_memory_equal(m.payload.data, payload, sizeof(payload));
	assert_int_equal(frame_read(p.reader, &m, NULL), 1);
	assert_int_equal(m.size, 99);
	assert_int_equal(frame_read(p.reader, &m, NULL), 0);
	pair_close(&p);
}

/* A stream that ends inside a frame, at every byte of it. */
static void test_cut(void **state)
{
	struct message end = {.type = MSG_END, .ref = span_str("r"), .size = 99}, m;
	uint8_t bytes[64];
	struct pipe_pair p;

	(void)state;
	pair_open(&p);
	assert_int_equal(frame_write(p.out, &end), 0);
	ssize_t whole = read(p.in, bytes, sizeof(bytes));
	pair_close(&p);
	for (ssize_t cut = 1; cut < whole; cut++) {
		pair_open(&p);
		assert_int_equal(write(p.out, bytes, (size_t)cut), cut);
		pair_end(&p);
		assert_int_equal(frame_read(p.reader, &m, NULL), -ENODATA);
		pair_close(&p);
	}
}

static void test_not_frames(void **state)
{
	static const struct row {
		const char *bytes;
		size_t len;
		enum decode_verdict want;
	} rows[] = {
	    {"hello, world\n", 13, DECODE_MAGIC}, {"\xff\xff\xff\xff", 4, DECODE_MAGIC},
	    {"\0\0\0\0", 4, DECODE_SHORT},        {"\0\0\0\5SL\x01\x05x", 9, DECODE_SHORT},
	    {"\0\0\0\4XXXX", 8, DECODE_MAGIC},    {"\0\0\0\5SL\x01\x15x", 9, DECODE_LONG},
	};
	const struct row *row;
	enum decode_verdict verdict;
	struct message m;
	struct pipe_pair p;

	(void)state;
	for_each_row(row, rows)
	{
		pair_open(&p);
		assert_int_equal(write(p.out, row->bytes, row->len), (ssize_t)row->len);
		pair_end(&p);
		assert_int_equal(frame_read(p.reader, &m, &verdict), -EBADMSG);
		assert_int_equal(verdict, row->want);
		pair_close(&p);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_frames),
	    cmocka_unit_test(test_cut),
	    cmocka_unit_test(test_not_frames),
	};
	return cmocka_run_group_tests_name("frame", tests, NULL, NULL);
}
