/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growable buffer of bytes that is reused: clearing keeps the memory. The bytes are followed by a terminator that
 * does not count, so that `data` can be read as a string.
 */
#ifndef SLUICE_BASE_BUF_H
#define SLUICE_BASE_BUF_H

#include <stddef.h>

#include "common/base/cleanup.h"
#include "common/base/span.h"

struct buf {
	char *data; /* owned; NULL until something is appended */
	size_t len;
	size_t room;
};

#define BUF_INIT                                                                                                       \
	{                                                                                                              \
		NULL, 0, 0                                                                                             \
	}
#define AUTO_BUF CLEANUP(buf_release) struct buf

/* Make room for at least `extra` more bytes. -ENOMEM: unchanged. */
int buf_reserve(struct buf *b, size_t extra);

/* Append. 0, or -ENOMEM with the buffer unchanged. */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_append_str(struct buf *b, const char *text);
int buf_appendf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forget the content, keep the memory. */
void buf_clear(struct buf *b);

/* For secrets: overwrite all of the memory and clear the buffer. */
void buf_wipe(struct buf *b);

/* Free what it owns. Safe for an empty or half-initialised buffer, and as a cleanup function. */
void buf_release(struct buf *b);

static inline struct span buf_span(const struct buf *b)
{
	return span_of(b->data, b->len);
}

#endif
