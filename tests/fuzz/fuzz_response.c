/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Headers of HTTP answers and the verdict on them: no body is accepted whose bytes may belong at another offset. An
 * input is flags, offset and size of the request, and the header lines.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "fetchd/http/judge.h"

#define DIGEST_A       "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define SIZE_MAX_TAKEN (1u << 20)
#define NOW_S          1000000000u

enum {
	KNOWN_SIZE = 1,
	CHECKED = 2,
	EXPECTED = 4,
	VALIDATED = 8,
	DATED = 16,
	WHOLE = 32,
	ELSEWHERE = 64,
	PARSED = 128,
};

static struct want read_want(struct span *rest)
{
	unsigned flags = (unsigned)fuzz_number(rest, 1);
	struct want w = {
	    .size_max = SIZE_MAX_TAKEN,
	    .checked = flags & (CHECKED | EXPECTED),
	    .whole = flags & WHOLE,
	    .elsewhere = flags & ELSEWHERE,
	    .parsed = flags & PARSED,
	};

	w.offset = fuzz_number(rest, 2);
	w.size = flags & KNOWN_SIZE ? w.offset + 1 + fuzz_number(rest, 2) : SIZE_UNKNOWN;
	if (flags & EXPECTED)
		memcpy(w.expected, DIGEST_A, sizeof(DIGEST_A));
	if (flags & DATED)
		memcpy(w.validator, "Sun, 09 Sep 2001 01:46:40 GMT", 30);
	else if (flags & VALIDATED)
		memcpy(w.validator, "\"tag\"", 6);
	return w;
}

static void check_taken(const struct response *r, const struct want *w, const struct judgement *j)
{
	FUZZ_CHECK((r->status == 200 || r->status == 203 || r->status == 206) && !r->broken && !r->transfer_coded);
	FUZZ_CHECK(!r->coded || (r->stored_coded && w->checked && !w->parsed));
	FUZZ_CHECK(!(r->chunked && r->has_length));
	FUZZ_CHECK(w->size == SIZE_UNKNOWN || j->size == w->size);
	FUZZ_CHECK(j->size == SIZE_UNKNOWN || j->size <= w->size_max);
	if (r->status != 206) {
		FUZZ_CHECK(j->skip == w->offset && (!r->has_length || r->length == j->size));
		FUZZ_CHECK(w->offset == 0 || w->checked || w->validator[0] != '\0');
		return;
	}
	FUZZ_CHECK(j->skip == 0 && w->offset > 0 && !w->whole && r->has_range && !r->multipart &&
		   r->first == w->offset);
	FUZZ_CHECK(r->last < j->size && j->end == r->last + 1 && (r->total == SIZE_UNKNOWN || r->total == j->size));
	FUZZ_CHECK(!r->has_length || r->length == j->end - r->first);
}

/* The answer to HEAD has no body, and an accepted one has a valid digest. */
static void check_head(const struct response *r)
{
	struct judgement j;
	struct digest d;

	response_judge_head(r, &j);
	FUZZ_CHECK(j.verdict != VERDICT_TAKE && j.verdict != VERDICT_COMPLETE && j.verdict != VERDICT_NARROW);
	if (j.verdict == VERDICT_RESOLVED)
		FUZZ_CHECK(r->status == 200 && !r->broken && digest_parse(span_str(r->digest), &d, NULL) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = {data, len};
	struct want w = read_want(&rest);
	static struct response r;
	enum response_progress progress = RESPONSE_MORE;
	struct judgement j;

	response_init(&r, NOW_S);
	while (progress == RESPONSE_MORE && rest.len > 0)
		progress = response_line(&r, fuzz_line(&rest));
	if (progress == RESPONSE_MORE)
		return 0;
	FUZZ_CHECK(strlen(response_validator(&r)) <= VALIDATOR_MAX && r.retry_after_ms <= RETRY_AFTER_CLAMP_MS);
	response_judge(&r, &w, &j);
	FUZZ_CHECK(!r.broken || j.verdict == VERDICT_REFUSE);
	FUZZ_CHECK(j.verdict != VERDICT_REFUSE || (j.fail != FAIL_NONE && j.why.text[0] != '\0'));
	if (j.verdict == VERDICT_TAKE)
		check_taken(&r, &w, &j);
	if (j.verdict == VERDICT_WHOLE)
		FUZZ_CHECK(w.offset > 0 && !w.whole);
	if (j.verdict == VERDICT_COMPLETE)
		FUZZ_CHECK(w.size == SIZE_UNKNOWN && j.size == w.offset && w.checked);
	check_head(&r);
	return 0;
}
