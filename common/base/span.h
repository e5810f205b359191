/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A borrowed view of bytes. It owns nothing, is not terminated, and is valid as long as the bytes that it refers to.
 */
#ifndef SLUICE_BASE_SPAN_H
#define SLUICE_BASE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct span {
	const uint8_t *data; /* may be NULL when len is 0 */
	size_t len;
};

/* For printf: printf("%.*s", SPAN_ARG(s)). The length of a span that is printed is bounded by the protocol. */
#define SPAN_ARG(s) (int)(s).len, (s).len > 0 ? (const char *)(s).data : ""

static inline struct span span_of(const void *data, size_t len)
{
	return (struct span){.data = (const uint8_t *)data, .len = len};
}

/* The text of a C string, without its terminator; NULL is the empty span. */
static inline struct span span_str(const char *text)
{
	return text ? span_of(text, strlen(text)) : span_of(NULL, 0);
}

static inline bool span_eq(struct span a, struct span b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* Whether a C string is in a NULL-terminated list. */
static inline bool str_is_one_of(const char *text, const char *const *list)
{
	while (*list && strcmp(*list, text) != 0)
		list++;
	return *list != NULL;
}

#endif
