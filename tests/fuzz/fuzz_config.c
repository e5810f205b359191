/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Configuration: the text of a file, parsed like fetchd. A file is accepted, or refused with a line for users. Values
 * of a registry are safe in a request, and no host gets the values of another.
 */

/* Tests */
#include "tests/fuzz/fuzz.h"

/* System */
#include <sys/mman.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/config.h"

/* The code under test */
#include "fetchd/config/policy.h"
#include "fetchd/http/url.h"

#define NEVER_NAMED "never.named.example:1"

static int visit(void *self, const char *section, const char *key, const char *value, struct reason *why)
{
	struct registries *rs = self;
	const char *host = registries_section(section);
	if (!host || strcmp(host, NEVER_NAMED) == 0)
		return 0;
	struct reason own = {""};
	int r = registries_set(rs, host, key, value, &own);
	FUZZ_CHECK(r == 0 || own.text[0] != '\0');
	reason_set(why, "%s", own.text);
	return r;
}

static void check_list(const struct registry_list *list, size_t max)
{
	FUZZ_CHECK(list->len <= max);
	for (size_t i = 0; i < list->len; i++)
		for (const char *p = list->texts[i]; *p; p++)
			FUZZ_CHECK(((unsigned char)*p >= ' ' || *p == '\t') && *p != '\x7f');
}

static void check_registry(const struct registry_settings *s)
{
	struct origin at;
	struct reason why;
	FUZZ_CHECK(s->host[0] != '\0' && !strpbrk(s->host, "/@ \t\r\n"));
	check_list(&s->headers, REGISTRY_HEADERS);
	check_list(&s->mirrors, MIRRORS_MAX);
	for (size_t i = 0; i < s->mirrors.len; i++)
		FUZZ_CHECK(origin_of(s->mirrors.texts[i], &at, &why) == 0);
	FUZZ_CHECK(s->own.connections != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct settings s;
	char path[64];
	struct reason why = {""};
	AUTO_FD fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd < 0 || write(fd, data, len) != (ssize_t)len)
		return 0;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	s.registries.len = 0;
	s.registries.file++;
	int r = config_read(path, visit, &s.registries, &why);
	FUZZ_CHECK(r <= 0 && (r == 0 || why.text[0] != '\0'));
	FUZZ_CHECK(registries_find(&s.registries, NEVER_NAMED) == &registry_unsaid);
	if (r < 0 || registries_check(&s.registries, &why) < 0)
		return 0;
	for (size_t i = 0; i < s.registries.len; i++) {
		check_registry(&s.registries.all[i]);
		FUZZ_CHECK(registries_find(&s.registries, s.registries.all[i].host) == &s.registries.all[i]);
	}
	return 0;
}
