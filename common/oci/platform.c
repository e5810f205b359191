/* SPDX-License-Identifier: Apache-2.0 */
#include "common/oci/platform.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define QUOTE_MAX 100
/* From this build on, Windows also runs images for older builds, down to this one. */
#define WINDOWS_STABLE_BUILD 20348u
#define ARM64_V9_BEGINS      5u /* v9.0 has all that v8.5 has, v9.1 all of v8.6, and so on */
#define ARM_OLDEST           5u
#define ARM_NEWEST           8u

/* Another name of an architecture; the variant that it implies, if any, overrides a given one. */
static const struct alias {
	const char *name;
	const char *architecture;
	const char *variant; /* NULL: keep */
} aliases[] = {
    {"i386", "386", ""},        {"i486", "386", ""},
    {"i586", "386", ""},        {"i686", "386", ""},
    {"x86_64", "amd64", NULL},  {"x86-64", "amd64", NULL},
    {"aarch64", "arm64", NULL}, {"armhf", "arm", "v7"},
    {"armv7l", "arm", "v7"},    {"armel", "arm", "v6"},
    {"armv6l", "arm", "v6"},    {"armv5tel", "arm", "v5"},
    {"armv8l", "arm", "v8"},    {"loongarch64", "loong64", NULL},
};

/* These may be given alone: the names known to Go and so to containerd. */
static const char *const systems[] = {
    "aix",   "android", "darwin", "dragonfly", "freebsd", "hurd",    "illumos", "ios", "js",
    "linux", "nacl",    "netbsd", "openbsd",   "plan9",   "solaris", "windows", "zos", NULL,
};
static const char *const architectures[] = {
    "386",     "amd64",  "amd64p32", "arm",       "armbe",       "arm64", "arm64be", "loong64", "mips",
    "mipsle",  "mips64", "mips64le", "mips64p32", "mips64p32le", "ppc",   "ppc64",   "ppc64le", "riscv",
    "riscv64", "s390",   "s390x",    "sparc",     "sparc64",     "wasm",  NULL,
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

static bool is_arch(const struct platform *p, const char *architecture)
{
	return strcmp(p->architecture, architecture) == 0;
}

/* "8" and "v8.0" become "v8"; a variant that every machine of the architecture supports is dropped; arm alone is v7. */
static void variant_normalize(struct platform *p)
{
	size_t len = strlen(p->variant);
	if (is_arch(p, "arm64") && len == 4 && p->variant[0] == 'v' && strcmp(p->variant + 2, ".0") == 0)
		p->variant[2] = '\0';
	if (p->variant[0] >= '0' && p->variant[0] <= '9' && p->variant[1] == '\0') {
		const char text[] = {'v', p->variant[0], '\0'};
		set(p->variant, text);
	}
	if (is_arch(p, "arm") && p->variant[0] == '\0')
		set(p->variant, "v7");
	if ((is_arch(p, "arm64") && strcmp(p->variant, "v8") == 0) ||
	    (is_arch(p, "amd64") && strcmp(p->variant, "v1") == 0))
		set(p->variant, "");
}

static void normalize(struct platform *p)
{
	lower(p->os);
	lower(p->architecture);
	lower(p->variant);
	if (strcmp(p->os, "macos") == 0)
		set(p->os, "darwin");
	for (size_t i = 0; i < sizeof aliases / sizeof aliases[0]; i++) {
		if (!is_arch(p, aliases[i].name))
			continue;
		set(p->architecture, aliases[i].architecture);
		if (aliases[i].variant)
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

static bool part_set(char to[static PLATFORM_PART_MAX + 1], struct span part)
{
	if (!part.data || !part_is_valid(part))
		return false;
	memcpy(to, part.data, part.len);
	return true;
}

/* Take the part before the next `end`, or all of the text. */
static struct span cut(struct span *text, char end)
{
	const uint8_t *at = text->len > 0 ? memchr(text->data, end, text->len) : NULL;
	struct span part = span_of(text->data, at ? (size_t)(at - text->data) : text->len);
	*text = at ? span_of(at + 1, text->len - part.len - 1) : span_of(NULL, 0);
	return part;
}

/* "os" or "os(version)". */
static bool os_take(struct span text, struct platform *p)
{
	if (text.len == 0 || text.data[text.len - 1] != ')')
		return part_set(p->os, text);
	text.len--;
	struct span os = cut(&text, '(');
	return part_set(p->os, os) && part_set(p->os_version, text);
}

static bool text_take(struct span text, struct platform *p)
{
	size_t slashes = 0;
	for (size_t i = 0; i < text.len; i++)
		slashes += text.data[i] == '/';
	return (slashes == 1 || slashes == 2) && os_take(cut(&text, '/'), p) &&
	       part_set(p->architecture, cut(&text, '/')) && (slashes == 1 || part_set(p->variant, text));
}

/* Only an operating system or an architecture; the rest is this machine's. */
static bool word_take(struct span text, struct platform *p)
{
	struct platform host, os = {.os = ""}, arch = {.os = ""};
	platform_of_host(&host);
	if (part_set(arch.architecture, text)) {
		set(arch.os, host.os);
		normalize(&arch);
		*p = arch;
		if (str_is_one_of(arch.architecture, architectures))
			return true;
	}
	if (!os_take(text, &os))
		return false;
	normalize(&os);
	set(os.architecture, host.architecture);
	set(os.variant, host.variant);
	*p = os;
	return str_is_one_of(os.os, systems);
}

int platform_parse(struct span text, struct platform *ret_platform, struct reason *why)
{
	struct platform p = {.os = ""};
	if (!text_take(text, &p) && !word_take(text, &p)) {
		int len = text.len <= QUOTE_MAX ? (int)text.len : QUOTE_MAX;
		reason_set(
		    why,
		    "'%.*s' is not a platform: expected os/architecture[/variant], windows(version)/architecture, "
		    "or a known os or architecture alone",
		    len, len > 0 ? (const char *)text.data : "");
		return -EINVAL;
	}
	normalize(&p);
	*ret_platform = p;
	return 0;
}

int platform_of_parts(const char *os, const char *os_version, const char *architecture, const char *variant,
		      struct platform *ret_platform, struct reason *why)
{
	struct platform p = {.os = ""};
	bool has_variant = variant && variant[0] != '\0';
	if (!part_set(p.os, span_str(os)) || !part_set(p.architecture, span_str(architecture)) ||
	    (has_variant && !part_set(p.variant, span_str(variant)))) {
		reason_set(why, "'%.*s/%.*s%s%.*s' is not a platform", PLATFORM_PART_MAX, os, PLATFORM_PART_MAX,
			   architecture, has_variant ? "/" : "", PLATFORM_PART_MAX, has_variant ? variant : "");
		return -EINVAL;
	}
	if (os_version)
		(void)part_set(p.os_version, span_str(os_version));
	normalize(&p);
	*ret_platform = p;
	return 0;
}

void platform_of_host(struct platform *ret_platform)
{
	struct utsname name;
	struct platform p = {.os = "linux"};
	if (uname(&name) == 0)
		(void)snprintf(p.architecture, sizeof p.architecture, "%.*s", PLATFORM_PART_MAX, name.machine);
	normalize(&p);
	*ret_platform = p;
}

void platform_of_none(struct platform *ret_platform)
{
	*ret_platform = (struct platform){.os = "unknown", .architecture = "unknown"};
}

void platform_format(const struct platform *p, char ret_text[static PLATFORM_TEXT_SIZE])
{
	bool has_version = p->os_version[0] != '\0', has_variant = p->variant[0] != '\0';
	(void)snprintf(ret_text, PLATFORM_TEXT_SIZE, "%s%s%s%s/%s%s%s", p->os, has_version ? "(" : "", p->os_version,
		       has_version ? ")" : "", p->architecture, has_variant ? "/" : "", p->variant);
}

bool platform_is_of_no_machine(const struct platform *p)
{
	return strcmp(p->os, "unknown") == 0;
}

/* "vN" or, for some architectures, "vN.M"; without a variant the default one. */
static bool level_of(const struct platform *p, unsigned *ret_major, unsigned *ret_minor)
{
	const char *base = is_arch(p, "amd64") ? "v1" : is_arch(p, "arm64") ? "v8" : is_arch(p, "arm") ? "v7" : NULL;
	const char *variant = p->variant[0] != '\0' ? p->variant : base;
	size_t len = variant ? strlen(variant) : 0;
	bool has_minor = len == 4 && is_arch(p, "arm64") && variant[2] == '.';
	if ((len != 2 && !has_minor) || variant[0] != 'v' || variant[1] < '1' || variant[1] > '9' ||
	    (has_minor && (variant[3] < '0' || variant[3] > '9')))
		return false;
	*ret_major = (unsigned)(variant[1] - '0');
	*ret_minor = has_minor ? (unsigned)(variant[3] - '0') : 0;
	return true;
}

/* Whether a machine of architecture and variant `want` runs images for `have`: a rank, 0 if not. */
static unsigned rank_machine(const struct platform *want, const struct platform *have)
{
	enum { OTHER_MACHINE = 1, OLDER = 100, EXACT = 1000 };
	unsigned major = 0, minor = 0, had_major = 0, had_minor = 0;
	bool same = strcmp(want->architecture, have->architecture) == 0;
	if (same && strcmp(want->variant, have->variant) == 0)
		return EXACT;
	if (is_arch(want, "amd64") && is_arch(have, "386") && have->variant[0] == '\0')
		return OTHER_MACHINE;
	if (!level_of(want, &major, &minor) || !level_of(have, &had_major, &had_minor))
		return 0;
	if (is_arch(have, "arm") && had_major < ARM_OLDEST)
		return 0;
	if (is_arch(want, "arm64") && is_arch(have, "arm") && major >= ARM_NEWEST)
		return had_major <= ARM_NEWEST ? OTHER_MACHINE + had_major : 0;
	if (!same)
		return 0;
	bool across = is_arch(want, "arm64") && major == 9 && had_major == 8;
	unsigned reach = across ? minor + ARM64_V9_BEGINS : minor;
	bool runs = is_arch(want, "arm64") ? (across || major == had_major) && had_minor <= reach : had_major < major;
	return runs ? OLDER + 10 * had_major + had_minor : 0;
}

struct windows {
	unsigned major, minor, build, revision;
};

/* "10.0.20348.1726", with or without the revision. False: it is not a version. */
static bool windows_parse(const char *text, struct windows *ret_version)
{
	struct windows w = {.revision = 0};
	int n = sscanf(text, "%3u.%3u.%5u.%5u", &w.major, &w.minor, &w.build, &w.revision);
	if (n < 3 || w.major > UINT8_MAX || w.minor > UINT8_MAX || w.build > UINT16_MAX || w.revision > UINT16_MAX)
		return false;
	*ret_version = w;
	return true;
}

/* Whether a Windows version runs images for another: a rank, highest for the newest that runs; 0 if not. */
static uint64_t rank_windows(const char *want, const char *have)
{
	struct windows w, h;
	enum { ANY = 1 };
	if (have[0] == '\0' || !windows_parse(want, &w))
		return ANY;
	if (!windows_parse(have, &h) || w.major != h.major || w.minor != h.minor)
		return 0;
	bool runs =
	    w.build < WINDOWS_STABLE_BUILD ? h.build == w.build : h.build >= WINDOWS_STABLE_BUILD && h.build <= w.build;
	return runs ? ((uint64_t)h.build << 16 | h.revision) + ANY : 0;
}

uint64_t platform_rank(const struct platform *want, const struct platform *have)
{
	if (strcmp(want->os, have->os) != 0 || platform_is_of_no_machine(have))
		return 0;
	bool is_windows = strcmp(want->os, "windows") == 0;
	uint64_t machine = rank_machine(want, have);
	uint64_t version = is_windows ? rank_windows(want->os_version, have->os_version) : 1;
	return machine > 0 && version > 0 ? machine << 34 | version : 0;
}
