/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/json_cut.h"

/* System */
#include <errno.h>
#include <string.h>

/* OCI */
#include "common/oci/json.h"

static bool is_blank(uint8_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Behind the string that begins at `at`, or the end of the text. */
static size_t string_end(struct span text, size_t at)
{
	for (at++; at < text.len && text.data[at] != '"'; at++)
		at += text.data[at] == '\\';
	return at < text.len ? at + 1 : text.len;
}

/* The first `stop`, or bracket that closes what encloses `at`; not one in a string or in brackets. Else the end. */
static size_t find(struct span text, size_t at, uint8_t stop)
{
	for (size_t depth = 0; at < text.len;) {
		uint8_t c = text.data[at];
		if (c == '"') {
			at = string_end(text, at);
			continue;
		}
		if (depth == 0 && (c == stop || c == ']' || c == '}'))
			return at;
		depth += c == '[' || c == '{';
		depth -= c == ']' || c == '}';
		at++;
	}
	return text.len;
}

/* What is between two places, without the blanks around it. */
static struct span trimmed(struct span text, size_t begin, size_t end)
{
	while (begin < end && is_blank(text.data[begin]))
		begin++;
	while (begin < end && is_blank(text.data[end - 1]))
		end--;
	return span_of(text.data + begin, end - begin);
}

/* 1: the text is a string with this content, however it is spelled. */
static int is_spelled(struct span text, const char *content)
{
	AUTO_JSON value = NULL;
	size_t len = strlen(content);

	if (text.len == len + 2 && text.data[0] == '"' && memcmp(text.data + 1, content, len) == 0)
		return 1;
	if (text.len == 0 || !memchr(text.data, '\\', text.len))
		return 0;
	int r = json_parse(text, &value, NULL);
	const char *is = r == 0 ? json_text(value) : NULL;
	return r == -ENOMEM ? r : is && strcmp(is, content) == 0;
}

int json_cut_member(struct span text, const char *key, struct span *ret_value)
{
	struct span object = trimmed(text, 0, text.len);

	if (object.len == 0 || object.data[0] != '{')
		return -ENOENT;
	for (size_t at = 1, colon; (colon = find(object, at, ':')) < object.len && object.data[colon] == ':';) {
		size_t end = find(object, colon + 1, ',');
		int r = is_spelled(trimmed(object, at, colon), key);
		if (r > 0)
			*ret_value = trimmed(object, colon + 1, end);
		if (r != 0)
			return r < 0 ? r : 0;
		if (end == object.len || object.data[end] != ',')
			break;
		at = end + 1;
	}
	return -ENOENT;
}

int json_cut_element(struct span text, size_t *at, struct span *ret_element)
{
	bool is_first = *at == 0;

	if (text.len < 2 || text.data[0] != '[' || *at >= text.len)
		return -EINVAL;
	if (!is_first && text.data[*at] != ',')
		return text.data[*at] == ']' && *at == text.len - 1 ? 0 : -EINVAL;
	size_t end = find(text, *at + 1, ',');
	struct span element = trimmed(text, *at + 1, end);
	*at = end;
	if (is_first && element.len == 0 && end == text.len - 1 && text.data[end] == ']')
		return 0;
	*ret_element = element;
	return 1;
}
