/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The policy of a source: every input has one verdict, what is accepted is encoded as it was, and what goes into a
 * header or to a library as a string is safe there.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "common/wire/source_policy.h"

static void check_text(struct span text, size_t max, bool is_header)
{
	FUZZ_CHECK(text.len <= max);
	for (size_t i = 0; i < text.len; i++)
		FUZZ_CHECK(is_header ? text.data[i] > ' ' && text.data[i] <= '~' : text.data[i] != '\0');
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct source_policy p, untouched;
	AUTO_BUF again = BUF_INIT;

	memset(&p, 0xA5, sizeof(p));
	memset(&untouched, 0xA5, sizeof(untouched));
	if (!source_policy_decode(span_of(data, len), &p)) {
		FUZZ_CHECK(memcmp(&p, &untouched, sizeof(p)) == 0);
		return 0;
	}
	FUZZ_CHECK(len > 0 && len <= POLICY_MAX);
	check_text(p.authorities, POLICY_PEM_MAX, false);
	check_text(p.client_cert, POLICY_CLIENT_MAX, false);
	check_text(p.client_key, POLICY_CLIENT_MAX, false);
	check_text(p.secret, POLICY_SECRET_MAX, true);
	FUZZ_CHECK((p.login == POLICY_LOGIN_BASIC || p.login == POLICY_LOGIN_IDENTITY) == (p.secret.len > 0));
	FUZZ_CHECK((p.client_cert.len > 0) == (p.client_key.len > 0));
	FUZZ_CHECK(p.has_certs || p.authorities.len + p.client_cert.len == 0);
	FUZZ_CHECK(p.retries <= POLICY_RETRIES_MAX && p.rate <= POLICY_RATE_MAX);
	FUZZ_CHECK(source_policy_encode(&p, &again) == 0);
	FUZZ_CHECK(span_eq(buf_span(&again), span_of(data, len)));
	return 0;
}
