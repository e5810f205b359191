/* SPDX-License-Identifier: Apache-2.0 */
/* The window: parts filled in any order are passed on in order, with bounded memory. Nothing is lost or duplicated. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/window.h"

#define PART PART_CHUNK_SIZE
#define BIG  (2 * PART_CHUNK_SIZE)

struct ends {
	struct loop *loop;
	FILE *file;
	struct sink *sink;
	struct outlet outlet;
	struct window_room room;
	struct window *window;
};

static void ends_make(struct ends *e, size_t parts, uint64_t part_size)
{
	memset(e, 0, sizeof(*e));
	assert_int_equal(loop_new(&e->loop), 0);
	e->file = tmpfile();
	assert_non_null(e->file);
	assert_int_equal(sink_new_fd(e->loop, fileno(e->file), SINK_RAW, &e->sink), 0);
	e->outlet.ref = span_str("ref");
	outlet_init(&e->outlet, e->sink);
	assert_int_equal(window_new(&e->room, &e->outlet, parts, part_size, part_size, &e->window), 0);
}

static void ends_remove(struct ends *e)
{
	window_free(e->window);
	assert_int_equal(e->room.used, 0);
	outlet_release(&e->outlet);
	sink_free(e->sink);
	(void)fclose(e->file);
	loop_free(e->loop);
}

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset % 251);
}

static void put(struct ends *e, struct part *p, size_t len)
{
	uint8_t piece[16384];
	while (len > 0) {
		size_t some = len < sizeof(piece) ? len : sizeof(piece);
		for (size_t i = 0; i < some; i++)
			piece[i] = byte_at(p->at + i);
		assert_int_equal(part_put(e->window, p, piece, some), 0);
		len -= some;
	}
}

static void assert_written(struct ends *e, uint64_t from, uint64_t to)
{
	static uint8_t all[8 * BIG];
	size_t len = (size_t)(to - from);
	assert_true(len <= sizeof(all));
	assert_int_equal(pread(fileno(e->file), all, sizeof(all), 0), (ssize_t)len);
	for (size_t i = 0; i < len; i++)
		if (all[i] != byte_at(from + i))
			fail_msg("wrong byte at %zu", i);
}

static void test_order(void **state)
{
	struct ends e;
	(void)state;
	ends_make(&e, 3, BIG);
	e.outlet.offset = 1000;
	window_begin(e.window, 1000);
	assert_true(window_is_empty(e.window));
	struct part *a = window_add(e.window, 3, 10 * BIG, BIG), *b = window_add(e.window, 3, 10 * BIG, BIG);
	struct part *c = window_add(e.window, 3, 10 * BIG, BIG);
	assert_int_equal(a->start, 1000);
	assert_int_equal(b->start, a->end);
	assert_int_equal(c->start, b->end);
	assert_int_equal(c->end - c->start, BIG);
	put(&e, c, BIG);
	put(&e, b, BIG - 1);
	assert_int_equal(c->state, PART_WHOLE);
	assert_ptr_equal(window_at(e.window, 1000), a);
	assert_ptr_equal(window_at(e.window, b->start), b);
	assert_ptr_equal(window_at(e.window, b->start - 1), a);
	assert_null(window_at(e.window, c->end));
	/* The first part: a full chunk is sent, a partial one waits for a flush or the end of the part. */
	put(&e, a, PART + 10);
	assert_int_equal(part_pass_on(e.window, a, false), 0);
	assert_int_equal(a->start, 1000 + PART);
	assert_int_equal(part_pass_on(e.window, a, true), 0);
	assert_int_equal(a->start, 1010 + PART);
	put(&e, a, PART - 10);
	assert_int_equal(part_pass_on(e.window, a, false), 0);
	assert_int_equal(a->start, a->end);
	assert_null(window_at(e.window, 1000));
	put(&e, b, 1);
	assert_int_equal(part_pass_on(e.window, b, false), 0);
	assert_int_equal(part_pass_on(e.window, c, false), 0);
	assert_written(&e, 1000, 1000 + 3 * BIG);
	ends_remove(&e);
}

/* Never more than the parts hold, over all windows. The last part ends with the content. */
static void test_room(void **state)
{
	struct ends e;
	struct window *other;
	(void)state;
	ends_make(&e, 4, PART + 1);
	assert_int_equal(e.window->share, PART);
	assert_int_equal(window_new(&e.room, &e.outlet, 4, PART, PART, &other), 0);
	window_begin(e.window, 0);
	window_begin(other, 0);
	struct part *first = window_add(e.window, 3, 100 * PART, PART);
	assert_non_null(window_add(e.window, 3, 100 * PART, PART));
	assert_int_equal(e.room.used, 2 * PART);
	assert_non_null(window_add(other, 3, 100 * PART, PART));
	assert_null(window_add(other, 3, 100 * PART, PART));
	assert_null(window_add(e.window, 3, 100 * PART, PART));
	part_drop(e.window, first);
	part_drop(e.window, first);
	assert_int_equal(e.room.used, 2 * PART);
	struct part *last = window_add(e.window, 3, 2 * PART + 1, PART);
	assert_int_equal(last->start, 2 * PART);
	assert_int_equal(last->end, 2 * PART + 1);
	assert_null(window_add(e.window, 4, 2 * PART + 1, PART));
	window_free(other);
	assert_int_equal(e.room.used, 2 * PART);
	ends_remove(&e);
}

/* Put pieces until the part is held. The number of bytes. */
static uint64_t fill(struct ends *e, struct part *p)
{
	uint64_t at = p->at;
	while (p->at < p->end && part_has_room(e->window, p, 16384))
		put(e, p, 16384);
	return p->at - at;
}

/* Long parts share what is free. The first one has a little more, and always goes on. */
static void test_long_parts(void **state)
{
	enum { SHARES = 4, SHARE = 3 };
	struct ends e;
	(void)state;
	ends_make(&e, SHARES, SHARE * PART);
	window_begin(e.window, 0);
	struct part *a = window_add(e.window, SHARES, 1000 * PART, 20 * PART);
	struct part *b = window_add(e.window, SHARES, 1000 * PART, 20 * PART);
	struct part *c = window_add(e.window, SHARES, 1000 * PART, 20 * PART);
	assert_int_equal(e.room.used, 3 * PART);
	assert_int_equal(c->start, 40 * PART);
	/* Without a, which has none yet: all but the spare, a chunk of a's and one of c's. */
	assert_int_equal(fill(&e, b), (SHARES * SHARE - 2) * PART - WINDOW_SPARE);
	assert_true(b->held);
	assert_int_equal(e.room.used, SHARES * SHARE * PART - WINDOW_SPARE);
	assert_int_equal(fill(&e, c), PART);
	assert_true(c->held);
	assert_int_equal(fill(&e, a), PART + WINDOW_SPARE);
	assert_int_equal(e.room.used, SHARES * SHARE * PART);
	assert_true(a->held);
	/* What is passed on makes room for the first, then for the others. */
	assert_int_equal(part_pass_on(e.window, a, false), 0);
	assert_false(part_has_room(e.window, c, 1));
	assert_int_equal(fill(&e, a), PART + WINDOW_SPARE);
	while (a->at < a->end) {
		assert_int_equal(part_pass_on(e.window, a, false), 0);
		assert_true(fill(&e, a) > 0);
	}
	assert_int_equal(part_pass_on(e.window, a, false), 0);
	part_drop(e.window, a);
	assert_int_equal(part_pass_on(e.window, b, false), 0);
	assert_true(part_has_room(e.window, c, 16384));
	assert_false(c->held);
	assert_true(fill(&e, c) > 4 * PART);
	part_drop(e.window, b);
	part_drop(e.window, c);
	assert_int_equal(e.room.used, 0);
	ends_remove(&e);
}

/* A chunk that is not full is passed on if its part is held: otherwise both would wait for ever. */
static void test_held_part_passes_on(void **state)
{
	struct ends e;
	(void)state;
	ends_make(&e, 1, PART);
	window_begin(e.window, 0);
	struct part *p = window_add(e.window, 1, 1000 * PART, 20 * PART);
	put(&e, p, PART - 10);
	assert_int_equal(part_pass_on(e.window, p, false), 0);
	assert_int_equal(p->start, 0);
	assert_true(part_has_room(e.window, p, 10));
	assert_false(part_has_room(e.window, p, 11));
	assert_int_equal(part_pass_on(e.window, p, false), 0);
	assert_int_equal(p->start, PART - 10);
	assert_true(part_has_room(e.window, p, 16384));
	ends_remove(&e);
}

/* A stream may stop at a part that has arrived or is arriving, not at one that was only requested. */
static void test_next_good(void **state)
{
	struct ends e;
	(void)state;
	ends_make(&e, 3, PART);
	window_begin(e.window, 0);
	struct part *a = window_add(e.window, 3, 100 * PART, PART), *b = window_add(e.window, 3, 100 * PART, PART);
	struct part *c = window_add(e.window, 3, 100 * PART, PART);
	assert_int_equal(window_next_good(e.window, 0), SIZE_UNKNOWN);
	part_asked(a);
	assert_int_equal(window_next_good(e.window, 0), SIZE_UNKNOWN);
	part_asked(c);
	part_coming(c);
	assert_int_equal(window_next_good(e.window, 0), 2 * PART);
	put(&e, b, 1);
	assert_int_equal(window_next_good(e.window, 0), PART);
	assert_int_equal(window_next_good(e.window, PART), PART);
	assert_int_equal(window_next_good(e.window, PART + 1), 2 * PART);
	assert_int_equal(window_next_good(e.window, 2 * PART + 1), SIZE_UNKNOWN);
	part_drop(e.window, c);
	part_drop(e.window, b);
	assert_int_equal(window_next_good(e.window, 0), SIZE_UNKNOWN);
	ends_remove(&e);
}

/*
 * With a full pipe the offered chunk does not grow, and there is room for the whole part behind it.
 */
static void test_full_pipe(void **state)
{
	struct ends e;
	struct unit_dir dir;
	struct pipe *push;
	struct sink *sink;
	struct window *w;
	struct outlet o = {.ref = span_str("ref"), .attempt = 7};
	(void)state;
	ends_make(&e, 1, PART);
	unit_dir_make(&dir);
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PUSH, &push), 0);
	assert_int_equal(sink_new_pipe(e.loop, push, &sink), 0);
	outlet_init(&o, sink);
	assert_int_equal(window_new(&e.room, &o, 1, PART, PART, &w), 0);
	struct part *p = window_add(w, 1, PART, PART);
	put(&(struct ends){.window = w}, p, 10);
	assert_int_equal(part_pass_on(w, p, true), -EAGAIN);
	put(&(struct ends){.window = w}, p, PART - 10);
	assert_int_equal(p->state, PART_WHOLE);
	assert_int_equal(p->chunks_len, 2);
	assert_int_equal(p->chunks[0].payload_len, 10);
	assert_int_equal(part_pass_on(w, p, false), -EAGAIN);
	assert_int_equal(p->start, 0);
	window_free(w);
	outlet_release(&o);
	sink_free(sink);
	pipe_close(push);
	unit_dir_remove(&dir);
	ends_remove(&e);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_order),      cmocka_unit_test(test_room),
	    cmocka_unit_test(test_long_parts), cmocka_unit_test(test_held_part_passes_on),
	    cmocka_unit_test(test_next_good),  cmocka_unit_test(test_full_pipe),
	};
	return cmocka_run_group_tests_name("fetchd window", tests, NULL, NULL);
}
