/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Retry-After and dates: an input is the time of the clock, a moment, and a text. The moment, formatted in each of the
 * three forms of RFC 9110, 5.6.7, must be parsed as itself; the text may be anything.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* System */
#include <time.h>

/* The code under test */
#include "fetchd/http/response.h"

#define MOMENT_MAX UINT64_C(4102444799) /* the end of 2099 */

static uint64_t wait_for_field(uint64_t now_s, const char *text, size_t len)
{
	static struct response r;
	char line[512];
	int n = snprintf(line, sizeof(line), "Retry-After: %.*s\r\n", (int)(len < 400 ? len : 400), text);
	response_init(&r, now_s);
	FUZZ_CHECK(response_line(&r, span_str("HTTP/1.1 503 Later\r\n")) == RESPONSE_MORE);
	FUZZ_CHECK(response_line(&r, span_of(line, (size_t)n)) == RESPONSE_MORE);
	FUZZ_CHECK(response_line(&r, span_str("\r\n")) == RESPONSE_WHOLE);
	FUZZ_CHECK(r.retry_after_ms <= RETRY_AFTER_CLAMP_MS);
	return r.retry_after_ms;
}

static uint64_t clamped(uint64_t wait_s)
{
	return wait_s < RETRY_AFTER_CLAMP_MS / 1000 ? wait_s * 1000 : RETRY_AFTER_CLAMP_MS;
}

static void check_date(uint64_t now_s, uint64_t moment_s)
{
	static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT",
					    "%a %b %e %H:%M:%S %Y"};
	time_t moment = (time_t)moment_s;
	struct tm tm;
	char text[64];
	FUZZ_CHECK(gmtime_r(&moment, &tm));
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		size_t len = strftime(text, sizeof(text), forms[i], &tm);
		if (i == 1 && moment_s >= UINT64_C(3124224000)) /* from 2069 on, two digits mean 1969 */
			continue;
		FUZZ_CHECK(wait_for_field(now_s, text, len) == (moment_s > now_s ? clamped(moment_s - now_s) : 0));
	}
}

static void check_seconds(uint64_t now_s, uint64_t seconds)
{
	char text[32];
	int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)seconds);
	FUZZ_CHECK(wait_for_field(now_s, text, (size_t)len) == clamped(seconds));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_of(data, len);
	uint64_t now_s = fuzz_number(&rest, 4), moment_s = fuzz_number(&rest, 8);
	check_date(now_s, moment_s % (MOMENT_MAX + 1));
	check_seconds(now_s, moment_s);
	size_t text_len = 0;
	while (text_len < rest.len && rest.data[text_len] != '\0' && rest.data[text_len] != '\n')
		text_len++;
	if (text_len > 0)
		(void)wait_for_field(now_s, (const char *)rest.data, text_len);
	return 0;
}
