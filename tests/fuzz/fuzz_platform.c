/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platforms: what is accepted is normalised, is the same written and read again, and serves itself best. An input is a
 * platform to want, and one to have, a line each.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* The code under test */
#include "common/oci/platform.h"

static bool eq(const struct platform *a, const struct platform *b)
{
	return strcmp(a->os, b->os) == 0 && strcmp(a->os_version, b->os_version) == 0 &&
	       strcmp(a->architecture, b->architecture) == 0 && strcmp(a->variant, b->variant) == 0;
}

/* Whatever takes the text apart, it is the same platform. */
static void check_again(const struct platform *p)
{
	char text[PLATFORM_TEXT_SIZE];
	struct platform back, of_parts;
	struct reason why;

	platform_format(p, text);
	FUZZ_CHECK(strlen(text) < sizeof(text) && strpbrk(text, " \n\x1b") == NULL);
	FUZZ_CHECK(platform_parse(span_str(text), &back, &why) == 0 && eq(p, &back));
	FUZZ_CHECK(platform_of_parts(p->os, p->os_version, p->architecture, p->variant, &of_parts, &why) == 0);
	FUZZ_CHECK(eq(p, &of_parts));
	for (const char *c = text; *c != '\0' && *c != '('; c++)
		FUZZ_CHECK(*c < 'A' || *c > 'Z');
}

static bool parse(struct span text, struct platform *ret_platform)
{
	struct platform untouched;
	struct reason why = {""};

	memset(ret_platform, 0xA5, sizeof(*ret_platform));
	memset(&untouched, 0xA5, sizeof(untouched));
	if (platform_parse(text, ret_platform, &why) == 0) {
		check_again(ret_platform);
		return true;
	}
	FUZZ_CHECK(strstr(why.text, "is not a platform") != NULL);
	FUZZ_CHECK(memcmp(ret_platform, &untouched, sizeof(untouched)) == 0);
	return false;
}

/*
 * Of the same version of Windows nothing serves better than the very platform; another operating system's never does.
 */
static void check_ranks(const struct platform *want, const struct platform *have)
{
	uint64_t own = platform_rank(want, want), rank = platform_rank(want, have);

	FUZZ_CHECK(platform_is_of_no_machine(want) || own > 0);
	FUZZ_CHECK(rank <= own || strcmp(want->os_version, have->os_version) != 0);
	FUZZ_CHECK(rank == 0 || strcmp(want->os, have->os) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct span rest = span_of(data, len);
	struct platform want, have, host;

	struct span first = fuzz_line(&rest);
	first.len -= first.len > 0 && first.data[first.len - 1] == '\n';
	bool wants = parse(first, &want), has = parse(rest, &have);
	if (!wants || !has)
		return 0;
	platform_of_host(&host);
	check_ranks(&want, &have);
	check_ranks(&have, &want);
	check_ranks(&want, &want);
	check_ranks(&host, &have);
	return 0;
}
