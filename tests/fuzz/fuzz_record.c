/* SPDX-License-Identifier: Apache-2.0 */
/* The transfer file: what can be read says the same when it is written and read again, and torn ends do not count. */

/* Base */
#include "common/base/buf.h"

/* Store */
#include "common/store/record.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

static void check_again(const struct record *t)
{
	AUTO_BUF once = BUF_INIT, twice = BUF_INIT;
	struct record back;
	struct reason why;

	FUZZ_CHECK(ref_check(span_str(t->ref), NULL) == 0);
	FUZZ_CHECK(record_format(t, &once) == 0);
	FUZZ_CHECK(record_whole_len(buf_span(&once)) == once.len);
	FUZZ_CHECK(record_parse(buf_span(&once), &back, &why) == 0);
	FUZZ_CHECK(record_format(&back, &twice) == 0);
	FUZZ_CHECK(span_eq(buf_span(&once), buf_span(&twice)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span text = {data, len};
	static struct record t, of_whole;
	struct reason why = {{0}};

	size_t whole_len = record_whole_len(text);
	FUZZ_CHECK(whole_len <= len);
	int r = record_parse(text, &t, &why);
	FUZZ_CHECK(r == 0 || why.text[0] != '\0');
	FUZZ_CHECK(whole_len > 0 || r < 0);
	if (r < 0)
		return 0;
	FUZZ_CHECK(record_parse(span_of(data, whole_len), &of_whole, &why) == 0);
	FUZZ_CHECK(strcmp(t.ref, of_whole.ref) == 0 && t.attempt == of_whole.attempt && t.size == of_whole.size);
	check_again(&t);
	return 0;
}
