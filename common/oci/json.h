/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON by jansson, which only json.c includes. Parsing is strict: one value with nothing after it, no duplicate keys,
 * valid UTF-8, no NUL byte, a bounded depth. Escapes of NUL and of half a surrogate pair, which RFC 8259 (section 8.2)
 * allows but a C string cannot hold, become U+FFFD; for the latter Go's encoding/json does the same.
 */
#ifndef SLUICE_OCI_JSON_H
#define SLUICE_OCI_JSON_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/reason.h"
#include "common/base/span.h"

#define JSON_DOCUMENT_MAX (4u << 20) /* bytes: manifests, indexes, credentials; the limit in the distribution spec */
#define JSON_DEPTH_MAX    64

struct json_t; /* jansson's; a value is borrowed from its parent unless the prototype says that the caller owns it */

void json_free(struct json_t *value);
static inline void json_cleanup(struct json_t **value)
{
	json_free(*value);
}
#define AUTO_JSON CLEANUP(json_cleanup) struct json_t *

/* -EINVAL with a reason (line and column), -EFBIG over JSON_DOCUMENT_MAX. The caller owns the value. */
int json_parse(struct span text, struct json_t **ret_value, struct reason *why);

/* The same with the caller's limit, in bytes. */
int json_parse_long(struct span text, size_t max, struct json_t **ret_value, struct reason *why);

/* The same value with one more owner, who frees it, too: to take it from its parent into another. NULL for NULL. */
struct json_t *json_share(struct json_t *value);

/* Members of an object. NULL or false if the member is absent or has another type. */
struct json_t *json_member(const struct json_t *object, const char *key);
const char *json_member_text(const struct json_t *object, const char *key);
bool json_member_u64(const struct json_t *object, const char *key, uint64_t *ret_value);
bool json_has(const struct json_t *object, const char *key);
bool json_is_object(const struct json_t *value);
bool json_is_array(const struct json_t *value);
bool json_is_nothing(const struct json_t *value); /* null */
const char *json_text(const struct json_t *value);

/* Arrays. The length of anything else is 0. */
size_t json_len(const struct json_t *array);
struct json_t *json_at(const struct json_t *array, size_t i);
int json_remove_at(struct json_t *array, size_t i);

/* Remove a member of an object. -ENOENT: it has none of that name. */
int json_remove(struct json_t *object, const char *key);

/* Visit an object's members in order; stop at the first non-zero result and return it. */
int json_each(const struct json_t *object, int (*visit)(void *self, const char *key, const struct json_t *value),
	      void *self);

/* Building. The caller owns what _make returns, NULL: out of memory; _set and _append take ownership of `value`, also on
 * failure. */
struct json_t *json_object_make(void);
struct json_t *json_array_make(void);
struct json_t *json_nothing_make(void);
int json_set(struct json_t *object, const char *key, struct json_t *value);
int json_append(struct json_t *array, struct json_t *value);
/* 0 or -ENOMEM; -ERANGE for a number over INT64_MAX. A text that is not UTF-8 is escaped (escape.h). */
int json_set_text(struct json_t *object, const char *key, const char *text);
int json_append_text(struct json_t *array, const char *text);
int json_set_u64(struct json_t *object, const char *key, uint64_t number);
int json_set_bool(struct json_t *object, const char *key, bool value);

/* Append the text to `out`, as one line of ASCII: other characters are escaped. 0 or -ENOMEM. */
int json_format(const struct json_t *value, struct buf *out);

/* The same for people: indented by four spaces, one member per line. */
int json_format_indented(const struct json_t *value, struct buf *out);

#endif
