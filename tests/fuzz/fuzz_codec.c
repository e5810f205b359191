/* SPDX-License-Identifier: Apache-2.0 */
/* Messages: every input has one verdict, and a valid message encodes to the same bytes. */

/* Wire */
#include "common/wire/codec.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static uint8_t again[MESSAGE_MAX];
	struct message m, untouched;

	memset(&m, 0xA5, sizeof(m));
	memset(&untouched, 0xA5, sizeof(untouched));
	enum decode_verdict v = message_decode(span_of(data, len), &m);
	FUZZ_CHECK(decode_verdict_text(v) != NULL);
	if (v != DECODE_OK) {
		FUZZ_CHECK(memcmp(&m, &untouched, sizeof(m)) == 0);
		return 0;
	}
	FUZZ_CHECK(len <= MESSAGE_MAX && message_name(m.type) != NULL);
	size_t head_len = message_encode_head(&m, again);
	FUZZ_CHECK(head_len == message_head_size(&m) && head_len + m.payload.len == len);
	FUZZ_CHECK(memcmp(again, data, head_len) == 0);
	FUZZ_CHECK(m.payload.len == 0 || m.payload.data == data + head_len);
	return 0;
}
