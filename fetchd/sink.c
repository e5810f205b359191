/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/sink.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

/* Wire */
#include "common/wire/frame.h"

struct sink_ops {
	int (*chunk_new)(struct sink *s, const struct message *head, size_t room, struct chunk *ret_chunk);
	int (*chunk_send)(struct outlet *o, struct chunk *c, uint64_t offset); /* `offset`: of its first byte */
	void (*chunk_free)(struct chunk *c);
	int (*send)(struct sink *s, const struct message *m);
};

struct sink {
	const struct sink_ops *ops;
	struct loop *loop;
	struct pipe *pipe;
	int fd;
	struct loop_io writable;      /* runs while outlets wait */
	TAILQ_HEAD(, outlet) waiting; /* the one that has waited longest is first */
};

static int pipe_sink_chunk_new(struct sink *s, const struct message *head, size_t room, struct chunk *ret_chunk)
{
	return pipe_chunk_new(s->pipe, head, room, ret_chunk);
}

static int pipe_sink_chunk_send(struct outlet *o, struct chunk *c, uint64_t offset)
{
	(void)offset; /* it is in the chunk's head already */
	return pipe_chunk_send(o->sink->pipe, c);
}

static int pipe_sink_send(struct sink *s, const struct message *m)
{
	return pipe_send(s->pipe, m);
}

static const struct sink_ops pipe_ops = {pipe_sink_chunk_new, pipe_sink_chunk_send, pipe_chunk_free, pipe_sink_send};

static int fd_chunk_new(struct sink *s, const struct message *head, size_t room, struct chunk *ret_chunk)
{
	(void)s;
	(void)head;
	uint8_t *payload = malloc(room);
	if (!payload)
		return -ENOMEM;
	*ret_chunk = (struct chunk){.payload = payload, .room = room};
	return 0;
}

static void fd_chunk_free(struct chunk *c)
{
	free(c->payload);
	*c = (struct chunk){0};
}

static int frames_chunk_send(struct outlet *o, struct chunk *c, uint64_t offset)
{
	struct message m = {
	    .type = MSG_CHUNK,
	    .ref = o->ref,
	    .attempt = o->attempt,
	    .offset = offset,
	    .payload = span_of(c->payload, c->payload_len),
	};
	int r = frame_write(o->sink->fd, &m);
	if (r == 0)
		fd_chunk_free(c);
	return r;
}

/* A reader of frames on a pipe sees that the writer is alive: it needs no BEATs. */
static int frames_send(struct sink *s, const struct message *m)
{
	return m->type == MSG_BEAT ? 0 : frame_write(s->fd, m);
}

static const struct sink_ops frames_ops = {fd_chunk_new, frames_chunk_send, fd_chunk_free, frames_send};

static int raw_chunk_send(struct outlet *o, struct chunk *c, uint64_t offset)
{
	size_t written;
	(void)offset;
	int r = FAILPOINT(WRITE, "raw.write", file_write_all(o->sink->fd, c->payload, c->payload_len, &written));
	if (r == 0)
		fd_chunk_free(c);
	return r;
}

static int raw_send(struct sink *s, const struct message *m)
{
	(void)s;
	(void)m;
	return 0;
}

static const struct sink_ops raw_ops = {fd_chunk_new, raw_chunk_send, fd_chunk_free, raw_send};

static void line_up(struct outlet *o)
{
	struct sink *s = o->sink;
	if (o->waiting)
		return;
	o->waiting = true;
	TAILQ_INSERT_TAIL(&s->waiting, o, link);
	loop_io_watch(&s->writable, pipe_send_fd(s->pipe), LOOP_READ);
}

static void leave_line(struct outlet *o)
{
	struct sink *s = o->sink;
	if (!o->waiting)
		return;
	TAILQ_REMOVE(&s->waiting, o, link);
	o->waiting = false;
	if (TAILQ_EMPTY(&s->waiting))
		loop_io_stop(&s->writable);
}

static int send_kept(struct outlet *o, struct message *kept)
{
	if (kept->type == 0)
		return 0;
	int r = o->sink->ops->send(o->sink, kept);
	if (r == 0) {
		kept->type = 0;
		o->last_sent_ms = clock_mono_ms();
	}
	return r;
}

static int send_chunk(struct outlet *o)
{
	if (!o->chunk.payload)
		return 0;
	int r = o->sink->ops->chunk_send(o, &o->chunk, o->offset - o->chunk.payload_len);
	o->closed = r < 0;
	if (r == 0)
		o->last_sent_ms = clock_mono_ms();
	return r;
}

/* Send what is kept, in the order of a transfer. 0: all of it was sent. */
static int push(struct outlet *o)
{
	int r = send_kept(o, &o->opened);
	if (r == 0)
		r = send_kept(o, &o->beat);
	if (r == 0 && o->flush)
		r = send_chunk(o);
	if (r == 0) {
		o->flush = false;
		r = send_kept(o, &o->last);
	}
	if (r == -EAGAIN)
		line_up(o);
	return r;
}

/* The pipe accepts messages. Each outlet gets one turn; those that still have messages line up again at the end. */
static void on_writable(void *self, unsigned events)
{
	struct sink *s = self;
	struct outlet *o;
	(void)events;
	while ((o = TAILQ_FIRST(&s->waiting))) {
		leave_line(o);
		if (push(o) < 0)
			return;
		o->drained(o->self); /* may put more, or release the outlet */
	}
}

static int sink_new(struct loop *loop, const struct sink_ops *ops, struct pipe *pipe, int fd, struct sink **ret_sink)
{
	struct sink *s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->ops = ops;
	s->loop = loop;
	s->pipe = pipe;
	s->fd = fd;
	TAILQ_INIT(&s->waiting);
	loop_io_init(&s->writable, loop, on_writable, s);
	*ret_sink = s;
	return 0;
}

int sink_new_pipe(struct loop *loop, struct pipe *pipe, struct sink **ret_sink)
{
	return sink_new(loop, &pipe_ops, pipe, -1, ret_sink);
}

int sink_new_fd(struct loop *loop, int fd, enum sink_form form, struct sink **ret_sink)
{
	return sink_new(loop, form == SINK_RAW ? &raw_ops : &frames_ops, NULL, fd, ret_sink);
}

void sink_free(struct sink *s)
{
	if (!s)
		return;
	loop_io_stop(&s->writable);
	free(s);
}

/*
 * One timer serves many chunks: it is not stopped when a chunk is sent, but checks the current one when it fires, and
 * sleeps again if that is younger.
 */
static void on_age(void *self)
{
	struct outlet *o = self;
	if (!o->chunk.payload)
		return;
	uint64_t age_ms = clock_mono_ms() - o->chunk_since_ms;
	if (age_ms >= CHUNK_AGE_MAX_MS) {
		(void)outlet_flush(o); /* a broken descriptor fails again with the next byte or the end */
		return;
	}
	loop_timer_set(&o->age, CHUNK_AGE_MAX_MS - age_ms);
}

void outlet_init(struct outlet *o, struct sink *s)
{
	o->sink = s;
	o->last_sent_ms = clock_mono_ms();
	loop_timer_init(&o->age, s->loop, on_age, o);
}

void outlet_release(struct outlet *o)
{
	if (!o->sink)
		return;
	leave_line(o);
	loop_timer_stop(&o->age);
	o->sink->ops->chunk_free(&o->chunk);
	o->sink = NULL;
}

static int chunk_begin(struct outlet *o)
{
	int r = outlet_chunk_new(o, o->offset, CHUNK_PAYLOAD_MAX, &o->chunk);
	if (r < 0)
		return r;
	o->chunk_since_ms = clock_mono_ms();
	if (!loop_timer_is_set(&o->age))
		loop_timer_set(&o->age, CHUNK_AGE_MAX_MS);
	return 0;
}

int outlet_put(struct outlet *o, const void *data, size_t len)
{
	assert(len <= CHUNK_PAYLOAD_MAX);
	if (o->chunk.payload && (o->closed || o->chunk.payload_len + len > o->chunk.room)) {
		o->flush = true;
		int r = push(o);
		if (r < 0)
			return r;
	}
	int r = o->chunk.payload ? 0 : chunk_begin(o);
	if (r < 0)
		return r;
	memcpy(o->chunk.payload + o->chunk.payload_len, data, len);
	o->chunk.payload_len += len;
	o->offset += len;
	return o->chunk.payload_len == o->chunk.room ? outlet_flush(o) : 0;
}

int outlet_chunk_new(struct outlet *o, uint64_t offset, size_t room, struct chunk *ret_chunk)
{
	struct message head = {.type = MSG_CHUNK, .ref = o->ref, .attempt = o->attempt, .offset = offset};
	return o->sink->ops->chunk_new(o->sink, &head, room, ret_chunk);
}

int outlet_chunk_put(struct outlet *o, struct chunk *c)
{
	size_t len = c->payload_len;
	o->flush = o->flush || o->chunk.payload;
	int r = push(o);
	if (r == 0)
		r = o->sink->ops->chunk_send(o, c, o->offset);
	if (r == -EAGAIN)
		line_up(o);
	if (r < 0)
		return r;
	o->offset += len;
	o->last_sent_ms = clock_mono_ms();
	return 0;
}

void outlet_chunk_free(struct outlet *o, struct chunk *c)
{
	o->sink->ops->chunk_free(c);
}

int outlet_flush(struct outlet *o)
{
	o->flush = true;
	int r = push(o);
	return r == -EAGAIN ? 0 : r;
}

int outlet_say(struct outlet *o, const struct message *m)
{
	struct message *place = m->type == MSG_OPENED ? &o->opened : m->type == MSG_BEAT ? &o->beat : &o->last;
	*place = *m;
	place->ref = o->ref;
	place->attempt = o->attempt;
	if (place == &o->last)
		o->flush = true;
	int r = push(o);
	return r == -EAGAIN ? 0 : r;
}

bool outlet_idle(const struct outlet *o)
{
	return o->opened.type == 0 && o->last.type == 0 && !o->flush;
}
