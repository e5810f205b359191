/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text for users and numbers from users: a line is harmless whatever it contains, and a number has the value of its
 * digits, or is refused. An input is the room for the line, and the text.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "common/base/escape.h"
#include "common/base/opt.h"

#define ROOM_MAX 256

static void check_escape(struct span text, size_t room)
{
	char line[ROOM_MAX], again[ROOM_MAX], whole[4 * 4096 + 1];
	size_t len = escape_line((const char *)text.data, text.len, line, room);
	FUZZ_CHECK(len < room && line[len] == '\0' && strlen(line) == len);
	for (size_t i = 0; i < len; i++)
		FUZZ_CHECK((unsigned char)line[i] >= ' ' && line[i] != '\x7f');
	FUZZ_CHECK(escape_line(line, len, again, sizeof(again)) == len && memcmp(line, again, len) == 0);
	if (text.len > 4096)
		return;
	size_t whole_len = escape_line((const char *)text.data, text.len, whole, sizeof(whole));
	FUZZ_CHECK(whole_len >= len && memcmp(whole, line, len) == 0); /* it is a prefix */
}

/* Digits and an optional unit, as in the header; a slow reference implementation. */
static bool reckon(enum opt_kind kind, const char *text, uint64_t *ret_value)
{
	static const struct {
		enum opt_kind kind;
		const char *unit;
		uint64_t factor;
	} units[] = {
	    {OPT_COUNT, "", 1},         {OPT_BYTES, "", 1},          {OPT_BYTES, "K", 1u << 10},
	    {OPT_BYTES, "M", 1u << 20}, {OPT_BYTES, "G", 1u << 30},  {OPT_BYTES, "T", UINT64_C(1) << 40},
	    {OPT_TIME_MS, "", 1000},    {OPT_TIME_MS, "ms", 1},      {OPT_TIME_MS, "s", 1000},
	    {OPT_TIME_MS, "m", 60000},  {OPT_TIME_MS, "h", 3600000},
	};
	size_t digits = strspn(text, "0123456789");
	uint64_t value = 0;
	bool fits = digits > 0;
	for (size_t i = 0; i < digits; i++) {
		uint64_t digit = (uint64_t)(text[i] - '0');
		fits = fits && value <= (UINT64_MAX - digit) / 10;
		value = 10 * value + digit;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (units[i].kind == kind && strcmp(units[i].unit, text + digits) == 0) {
			*ret_value = value * units[i].factor;
			return fits && value <= UINT64_MAX / units[i].factor;
		}
	return false;
}

static void check_number(struct span bytes)
{
	char text[64];
	if (bytes.len >= sizeof(text) || (bytes.len > 0 && memchr(bytes.data, '\0', bytes.len)))
		return;
	if (bytes.len > 0)
		memcpy(text, bytes.data, bytes.len);
	text[bytes.len] = '\0';
	for (enum opt_kind kind = OPT_COUNT; kind <= OPT_TIME_MS; kind++) {
		uint64_t value = 7, want = 7;
		bool right = opt_parse_number(kind, text, &value) == 0;
		FUZZ_CHECK(right == reckon(kind, text, &want));
		FUZZ_CHECK(!right || value == want);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_of(data, len);
	size_t room = 1 + (size_t)fuzz_number(&rest, 1);
	check_escape(rest, room);
	check_number(rest);
	return 0;
}
