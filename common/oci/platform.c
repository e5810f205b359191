#include "common/oci/platform.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define RANK_EXACT 1000u
#define RANK_BASE  1u
#define QUOTE_MAX  100

/* An architecture by another name, perhaps with the variant that the name implies. */
static const struct alias {
	const char *name;
	const char *architecture;
	const char *variant; /* NULL: keep */
} aliases[] = {
    {"i386", "386", NULL},      {"i486", "386", NULL},
    {"i586", "386", NULL},      {"i686", "386", NULL},
    {"x86_64", "amd64", NULL},  {"x86-64", "amd64", NULL},
    {"aarch64", "arm64", NULL}, {"armhf", "arm", "v7"},
    {"armv7l", "arm", "v7"},    {"armel", "arm", "v6"},
    {"armv6l", "arm", "v6"},    {"armv5tel", "arm", "v5"},
    {"armv8l", "arm", "v8"},    {"loongarch64", "loong64", NULL},
};

static void lower(char *text)
{
	for (; *text != '\0'; text++)
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
}

static void set(char to[static PLATFORM_PART_MAX + 1], const char *text)
{
	(void)snprintf(to, PLATFORM_PART_MAX + 1, "%s", text);
}

/* "8" is "v8", and a variant that every machine of the architecture has is none; arm alone is v7. */
static void variant_normalize(struct platform *p)
{
	bool arm = strcmp(p->architecture, "arm") == 0;
	if (p->variant[0] >= '0' && p->variant[0] <= '9' && p->variant[1] == '\0') {
		const char text[] = {'v', p->variant[0], '\0'};
		set(p->variant, text);
	}
	if (arm && p->variant[0] == '\0')
		set(p->variant, "v7");
	if ((strcmp(p->architecture, "arm64") == 0 && strcmp(p->variant, "v8") == 0) ||
	    (strcmp(p->architecture, "amd64") == 0 && strcmp(p->variant, "v1") == 0))
		set(p->variant, "");
}

void platform_normalize(struct platform *p)
{
	lower(p->os);
	lower(p->architecture);
	lower(p->variant);
	if (strcmp(p->os, "macos") == 0)
		set(p->os, "darwin");
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
		if (strcmp(p->architecture, aliases[i].name) != 0)
			continue;
		set(p->architecture, aliases[i].architecture);
		if (aliases[i].variant && p->variant[0] == '\0')
			set(p->variant, aliases[i].variant);
		break;
	}
	variant_normalize(p);
}

static bool part_is_valid(struct span part)
{
	if (part.len == 0 || part.len > PLATFORM_PART_MAX)
		return false;
	for (size_t i = 0; i < part.len; i++) {
		uint8_t c = part.data[i];
		bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
		if (!alnum && (i == 0 || (c != '.' && c != '_' && c != '-')))
			return false;
	}
	return true;
}

/* Fill the parts in their order. How many there are, or -EINVAL. */
static int parts_take(struct span text, struct platform *p)
{
	char *const parts[] = {p->os, p->architecture, p->variant};
	for (int n = 0; n < 3; n++) {
		const uint8_t *slash = text.len > 0 ? memchr(text.data, '/', text.len) : NULL;
		struct span part = span_of(text.data, slash ? (size_t)(slash - text.data) : text.len);
		if (!part_is_valid(part))
			return -EINVAL;
		memcpy(parts[n], part.data, part.len);
		if (!slash)
			return n + 1;
		text = span_of(slash + 1, text.len - part.len - 1);
	}
	return -EINVAL;
}

int platform_parse(struct span text, struct platform *ret_platform, struct reason *why)
{
	struct platform p = {.os = ""};
	if (parts_take(text, &p) < 2) {
		int len = text.len <= QUOTE_MAX ? (int)text.len : QUOTE_MAX;
		reason_set(why, "'%.*s' is not a platform: os/architecture or os/architecture/variant is", len,
			   len > 0 ? (const char *)text.data : "");
		return -EINVAL;
	}
	platform_normalize(&p);
	*ret_platform = p;
	return 0;
}

void platform_of_host(struct platform *ret_platform)
{
	struct utsname name;
	struct platform p = {.os = "linux"};
	if (uname(&name) == 0)
		(void)snprintf(p.architecture, sizeof p.architecture, "%.*s", PLATFORM_PART_MAX, name.machine);
	platform_normalize(&p);
	*ret_platform = p;
}

void platform_format(const struct platform *p, char ret_text[static PLATFORM_TEXT_SIZE])
{
	(void)snprintf(ret_text, PLATFORM_TEXT_SIZE, "%s/%s%s%s", p->os, p->architecture,
		       p->variant[0] != '\0' ? "/" : "", p->variant);
}

/* The number of a variant of an architecture whose variants build on each other; 0 for any other. */
static unsigned level(const struct platform *p)
{
	const char *base = strcmp(p->architecture, "amd64") == 0   ? "v1"
			   : strcmp(p->architecture, "arm64") == 0 ? "v8"
			   : strcmp(p->architecture, "arm") == 0   ? "v7"
								   : NULL;
	const char *variant = p->variant[0] != '\0' ? p->variant : base;
	if (!base || variant[0] != 'v' || variant[1] < '1' || variant[1] > '9' || variant[2] != '\0')
		return 0;
	return (unsigned)(variant[1] - '0');
}

unsigned platform_rank(const struct platform *want, const struct platform *have)
{
	if (strcmp(want->os, have->os) != 0 || strcmp(want->architecture, have->architecture) != 0)
		return 0;
	if (strcmp(want->variant, have->variant) == 0)
		return RANK_EXACT;
	unsigned wanted = level(want), had = level(have);
	if (wanted > 0 && had > 0)
		return had <= wanted ? RANK_BASE + had : 0;
	return have->variant[0] == '\0' ? RANK_BASE : 0;
}
