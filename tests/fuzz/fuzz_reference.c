/* SPDX-License-Identifier: Apache-2.0 */
/* Image references: the full form parses as the same reference. */

/* OCI */
#include "common/oci/reference.h"

/* Tests */
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct reference r, back;
	struct reason why = {{0}};
	char once[REFERENCE_TEXT_SIZE], twice[REFERENCE_TEXT_SIZE];

	if (reference_parse(span_of(data, len), &r, &why) < 0) {
		FUZZ_CHECK(why.text[0] != '\0');
		return 0;
	}
	reference_format(&r, once);
	for (const char *c = once; *c; c++)
		FUZZ_CHECK(*c > ' ' && *c <= '~');
	FUZZ_CHECK(reference_parse(span_str(once), &back, &why) == 0);
	reference_format(&back, twice);
	FUZZ_CHECK(strcmp(once, twice) == 0 && strcmp(r.host, back.host) == 0);
	FUZZ_CHECK(r.tag[0] != '\0' || r.has_digest);
	(void)host_is_loopback(r.host);
	FUZZ_CHECK(host_is_docker_hub(span_str(r.host)) || strcmp(r.host, DOCKER_HUB) != 0);
	return 0;
}
