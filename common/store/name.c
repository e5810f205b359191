/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/name.h"

/* System */
#include <string.h>

static bool is_alnum(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The length of "[::1]" at the start of a name, with "]" ending it; 0 when there is none. */
static size_t bracket_len(struct span name)
{
	size_t i = 1;
	if (name.len == 0 || name.data[0] != '[')
		return 0;
	while (i < name.len && (is_alnum(name.data[i]) || name.data[i] == ':' || name.data[i] == '.'))
		i++;
	return i > 1 && i < name.len && name.data[i] == ']' ? i + 1 : 0;
}

bool name_is_valid(struct span name)
{
	if (name.len == 0 || name.len > NAME_MAX_BYTES)
		return false;
	size_t i = bracket_len(name);
	/* What may precede a separator: a bracket as well as a letter or a digit. */
	bool joined = i > 0, slash = false;
	for (; i < name.len; i++) {
		uint8_t c = name.data[i];
		if (is_alnum(c)) {
			joined = true;
			slash = false;
			continue;
		}
		if (!joined || !strchr("-._:@+/", c) || c == '\0')
			return false;
		/* A component neither begins nor ends with a separator, so none is next to a slash. */
		bool separator_before = i > 0 && !is_alnum(name.data[i - 1]) && name.data[i - 1] != ']';
		if (slash || (c == '/' && separator_before))
			return false;
		slash = c == '/';
	}
	return is_alnum(name.data[name.len - 1]);
}
