/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content-Range against a second parser: exactly the forms of RFC 9110, 14.4 with numbers up to INT64_MAX are accepted,
 * with the same numbers.
 */

/* System */
#include <ctype.h>
#include <strings.h>

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "fetchd/http/response.h"

#define VALUE_MAX 256

static bool number(const char **at, uint64_t *ret_value)
{
	char *end;

	if (!isdigit((unsigned char)**at))
		return false;
	*ret_value = strtoull(*at, &end, 10); /* UINT64_MAX if it is larger */
	*at = end;
	return *ret_value <= INT64_MAX;
}

struct range {
	bool unsatisfied;
	uint64_t first, last, total;
};

static bool read_range(const char *at, struct range *ret_range)
{
	struct range r = {.total = SIZE_UNKNOWN};

	if (strncasecmp(at, "bytes ", 6) != 0)
		return false;
	at += 6;
	r.unsatisfied = *at == '*';
	if (r.unsatisfied)
		at++;
	else if (!number(&at, &r.first) || *at++ != '-' || !number(&at, &r.last))
		return false;
	if (*at++ != '/')
		return false;
	if (*at == '*')
		at++;
	else if (!number(&at, &r.total))
		return false;
	*ret_range = r;
	return *at == '\0' && (r.unsatisfied ? r.total != SIZE_UNKNOWN : r.first <= r.last && r.last < r.total);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct response r;
	char line[VALUE_MAX + 32];
	struct range want = {0};

	/* A line end ends the field, and blanks around a value are not part of it. */
	if (len > VALUE_MAX || memchr(data, '\0', len) || memchr(data, '\n', len) || memchr(data, '\r', len))
		return 0;
	if (len > 0 && (isblank(data[0]) || isblank(data[len - 1])))
		return 0;
	int head = snprintf(line, sizeof(line), "Content-Range: ");
	if (len > 0)
		memcpy(line + head, data, len);
	line[head + (int)len] = '\0';
	response_init(&r, 0);
	(void)response_line(&r, span_str("HTTP/1.1 206 Part"));
	(void)response_line(&r, span_str(line));
	bool right = read_range(line + head, &want);
	FUZZ_CHECK(r.broken == !right);
	if (right) {
		FUZZ_CHECK(r.unsatisfied == want.unsatisfied && r.has_range != want.unsatisfied);
		FUZZ_CHECK(r.total == want.total);
		FUZZ_CHECK(want.unsatisfied || (r.first == want.first && r.last == want.last));
	}
	struct response before = r;
	if (response_line(&r, span_str("\r\n")) == RESPONSE_WHOLE) { /* a trailer changes nothing */
		FUZZ_CHECK(response_line(&r, span_str("Content-Range: bytes 1-2/3\r\n")) == RESPONSE_MORE);
		FUZZ_CHECK(r.broken == before.broken && r.has_range == before.has_range);
		FUZZ_CHECK(r.first == before.first && r.last == before.last && r.total == before.total);
	}
	return 0;
}
