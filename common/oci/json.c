/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/json.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* jansson */
#include <jansson.h>

/* Base */
#include "common/base/escape.h"

/* jansson has macros of these names. */
#undef json_is_object
#undef json_is_array

void json_free(struct json_t *value)
{
	json_decref(value);
}

/* Checks the nesting of brackets outside strings. Done first, because the parser recurses. */
static bool depth_is_fine(struct span text)
{
	unsigned depth = 0;
	bool string = false;
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = text.data[i];
		if (string && c == '\\')
			i++;
		else if (c == '"')
			string = !string;
		else if (!string && (c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
			return false;
		else if (!string && (c == '}' || c == ']') && depth > 0)
			depth--;
	}
	return true;
}

enum { ESCAPE_LEN = sizeof "\\uXXXX" - 1 };

/* The UTF-16 unit of the escape at `i`, or -1. */
static long unit_at(struct span text, size_t i)
{
	char digits[5] = "", *end;
	if (i + ESCAPE_LEN > text.len || memcmp(text.data + i, "\\u", 2) != 0)
		return -1;
	memcpy(digits, text.data + i + 2, 4);
	bool is_hex = strspn(digits, "0123456789abcdefABCDEF") == 4; /* strtol(3) would also accept "0x12" and "+123" */
	long unit = is_hex ? strtol(digits, &end, 16) : -1;
	return is_hex && end == digits + 4 ? unit : -1;
}

/* The length of the escape at `i`; `ret_odd`: it is not a character, or one that a C string cannot hold. */
static size_t escape_len(struct span text, size_t i, bool *ret_odd)
{
	long unit = unit_at(text, i), next = unit_at(text, i + ESCAPE_LEN);
	bool high = unit >= 0xd800 && unit < 0xdc00, low = unit >= 0xdc00 && unit < 0xe000;
	bool pair = high && next >= 0xdc00 && next < 0xe000;
	*ret_odd = unit == 0 || low || (high && !pair);
	return unit < 0 ? 2 : pair ? 2 * ESCAPE_LEN : ESCAPE_LEN;
}

/*
 * Replace each odd escape with U+FFFD, which has the same length; outside strings there are no escapes. Whether any
 * was.
 */
static bool odd_escapes_replace(uint8_t *data, size_t len)
{
	bool any = false, odd;
	for (size_t i = 0, step; i < len; i += step) {
		odd = false;
		step = data[i] == '\\' ? escape_len(span_of(data, len), i, &odd) : 1;
		if (odd)
			memcpy(data + i, "\\ufffd", ESCAPE_LEN);
		any |= odd;
	}
	return any;
}

static struct json_t *load(const void *data, size_t len, json_error_t *error)
{
	return json_loadb(data, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, error);
}

/* For a text that was refused: parse it again without odd escapes. NULL: refused again. */
static struct json_t *load_without_odd_escapes(struct span text, json_error_t *error)
{
	AUTO_FREE uint8_t *copy = malloc(text.len + 1);
	if (!copy)
		return NULL;
	if (text.len > 0)
		memcpy(copy, text.data, text.len);
	return odd_escapes_replace(copy, text.len) ? load(copy, text.len, error) : NULL;
}

int json_parse(struct span text, struct json_t **ret_value, struct reason *why)
{
	return json_parse_long(text, JSON_DOCUMENT_MAX, ret_value, why);
}

int json_parse_long(struct span text, size_t max, struct json_t **ret_value, struct reason *why)
{
	if (text.len > max) {
		reason_set(why, "the JSON is longer than %zu bytes", max);
		return -EFBIG;
	}
	if (!depth_is_fine(text)) {
		reason_set(why, "the JSON is nested deeper than %d", JSON_DEPTH_MAX);
		return -EINVAL;
	}
	json_error_t error;
	struct json_t *value = load(text.len > 0 ? (const void *)text.data : "", text.len, &error);
	if (!value)
		value = load_without_odd_escapes(text, &error);
	if (!value) {
		reason_set(why, "not valid JSON at line %d, column %d: %s", error.line, error.column, error.text);
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EINVAL;
	}
	*ret_value = value;
	return 0;
}

struct json_t *json_share(struct json_t *value)
{
	return json_incref(value);
}

struct json_t *json_member(const struct json_t *object, const char *key)
{
	return json_object_get(object, key);
}

const char *json_member_text(const struct json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

bool json_member_u64(const struct json_t *object, const char *key, uint64_t *ret_value)
{
	const struct json_t *value = json_object_get(object, key);
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_value = (uint64_t)json_integer_value(value);
	return true;
}

bool json_has(const struct json_t *object, const char *key)
{
	return json_object_get(object, key) != NULL;
}

bool json_is_object(const struct json_t *value)
{
	return value && json_typeof(value) == JSON_OBJECT;
}

bool json_is_array(const struct json_t *value)
{
	return value && json_typeof(value) == JSON_ARRAY;
}

bool json_is_nothing(const struct json_t *value)
{
	return value && json_typeof(value) == JSON_NULL;
}

const char *json_text(const struct json_t *value)
{
	return json_string_value(value);
}

size_t json_len(const struct json_t *array)
{
	return json_array_size(array);
}

struct json_t *json_at(const struct json_t *array, size_t i)
{
	return json_array_get(array, i);
}

int json_remove_at(struct json_t *array, size_t i)
{
	return json_array_remove(array, i) < 0 ? -EINVAL : 0;
}

int json_remove(struct json_t *object, const char *key)
{
	return json_object_del(object, key) < 0 ? -ENOENT : 0;
}

int json_each(const struct json_t *object, int (*visit)(void *self, const char *key, const struct json_t *value),
	      void *self)
{
	/* Only for reading; jansson's iterator also allows changes. */
	struct json_t *o = (struct json_t *)object;
	int r = 0;
	for (void *at = json_object_iter(o); at && r == 0; at = json_object_iter_next(o, at))
		r = visit(self, json_object_iter_key(at), json_object_iter_value(at));
	return r;
}

struct json_t *json_object_make(void)
{
	return json_object();
}

struct json_t *json_array_make(void)
{
	return json_array();
}

int json_set(struct json_t *object, const char *key, struct json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

int json_append(struct json_t *array, struct json_t *value)
{
	return json_array_append_new(array, value) < 0 ? -ENOMEM : 0;
}

/* A text that may not be UTF-8, such as a path, as UTF-8. */
static struct json_t *escaped_text(const char *text)
{
	size_t len = strlen(text), room = 4 * len + 1;
	AUTO_FREE char *line = malloc(room);
	if (!line)
		return NULL;
	(void)escape_line(text, len, line, room);
	return json_string(line);
}

int json_set_text(struct json_t *object, const char *key, const char *text)
{
	struct json_t *value = json_string(text);
	return json_set(object, key, value ? value : escaped_text(text));
}

struct json_t *json_nothing_make(void)
{
	return json_null();
}

int json_append_text(struct json_t *array, const char *text)
{
	struct json_t *value = json_string(text);
	return json_append(array, value ? value : escaped_text(text));
}

int json_set_u64(struct json_t *object, const char *key, uint64_t number)
{
	return number > INT64_MAX ? -ERANGE : json_set(object, key, json_integer((json_int_t)number));
}

int json_set_bool(struct json_t *object, const char *key, bool value)
{
	return json_set(object, key, json_boolean(value));
}

static int on_text(const char *text, size_t len, void *out)
{
	return buf_append(out, text, len);
}

static int format(const struct json_t *value, size_t flags, struct buf *out)
{
	size_t before = out->len;
	if (json_dump_callback(value, on_text, out, flags | JSON_ENCODE_ANY | JSON_ENSURE_ASCII) == 0)
		return 0;
	out->len = before;
	return -ENOMEM;
}

int json_format(const struct json_t *value, struct buf *out)
{
	return format(value, JSON_COMPACT, out);
}

int json_format_indented(const struct json_t *value, struct buf *out)
{
	return format(value, JSON_INDENT(4), out);
}
