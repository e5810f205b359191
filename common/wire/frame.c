/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/frame.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

/* Base */
#include "common/base/be.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

#define LENGTH_BYTES 4

struct frame_reader {
	int fd;
	uint8_t bytes[MESSAGE_MAX];
};

int frame_reader_new(int fd, struct frame_reader **ret_reader)
{
	struct frame_reader *r = malloc(sizeof(*r));

	if (!r)
		return -ENOMEM;
	r->fd = fd;
	*ret_reader = r;
	return 0;
}

void frame_reader_free(struct frame_reader *r)
{
	free(r);
}

static int refuse(enum decode_verdict v, enum decode_verdict *ret_verdict)
{
	if (ret_verdict)
		*ret_verdict = v;
	return -EBADMSG;
}

int frame_read(struct frame_reader *r, struct message *ret_message, enum decode_verdict *ret_verdict)
{
	uint8_t length[LENGTH_BYTES];
	size_t got;

	int e = file_read_full(r->fd, length, sizeof(length), &got);
	if (e < 0)
		return e;
	if (got == 0)
		return 0;
	if (got < sizeof(length))
		return -ENODATA;
	size_t want = (size_t)be_get(length, LENGTH_BYTES);
	if (want > MESSAGE_MAX) /* text on a stream of frames reads as an absurd length */
		return refuse(DECODE_MAGIC, ret_verdict);
	e = file_read_full(r->fd, r->bytes, want, &got);
	if (e < 0)
		return e;
	if (got < want)
		return -ENODATA;
	enum decode_verdict v = message_decode(span_of(r->bytes, want), ret_message);
	return v == DECODE_OK ? 1 : refuse(v, ret_verdict);
}

/* Skip what a short write accepted. An empty payload has no address to add to. */
static void iov_advance(struct iovec *iov, int iov_len, size_t done)
{
	for (int i = 0; i < iov_len && done > 0; i++) {
		size_t step = done < iov[i].iov_len ? done : iov[i].iov_len;
		iov[i].iov_base = (uint8_t *)iov[i].iov_base + step;
		iov[i].iov_len -= step;
		done -= step;
	}
}

static int write_pieces(int fd, struct iovec *iov, size_t left)
{
	while (left > 0) {
		ssize_t n = writev(fd, iov, 2);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			iov_advance(iov, 2, (size_t)n);
			left -= (size_t)n;
		}
	}
	return 0;
}

int frame_write(int fd, const struct message *m)
{
	uint8_t head[LENGTH_BYTES + MESSAGE_HEAD_MAX];
	size_t head_len = message_encode_head(m, head + LENGTH_BYTES);
	/* writev(2) does not write to what it is given; its struct is shared with readv(2). */
	union {
		const uint8_t *in;
		void *out;
	} payload = {.in = m->payload.data};
	struct iovec iov[] = {
	    {.iov_base = head, .iov_len = LENGTH_BYTES + head_len},
	    {.iov_base = payload.out, .iov_len = m->payload.len},
	};

	be_put(head, head_len + m->payload.len, LENGTH_BYTES);
	return FAILPOINT(WRITE, "frame.write", write_pieces(fd, iov, LENGTH_BYTES + head_len + m->payload.len));
}
