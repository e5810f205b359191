/*
 * Platforms, "os/architecture[/variant]", with the normalisation of containerd's platforms package: aarch64 is arm64,
 * x86_64 is amd64, arm alone is arm/v7, arm64/v8 is arm64.
 */
#ifndef SLUICE_OCI_PLATFORM_H
#define SLUICE_OCI_PLATFORM_H

#include <stdbool.h>

#include "common/base/reason.h"
#include "common/base/span.h"

#define PLATFORM_PART_MAX  31
#define PLATFORM_TEXT_SIZE (3 * (PLATFORM_PART_MAX + 1))

struct platform {
	char os[PLATFORM_PART_MAX + 1];
	char architecture[PLATFORM_PART_MAX + 1];
	char variant[PLATFORM_PART_MAX + 1]; /* may be empty */
};

/* -EINVAL with a reason that quotes the text. The result is normalised. */
int platform_parse(struct span text, struct platform *ret_platform, struct reason *why);

void platform_normalize(struct platform *p);

/* The platform that this program runs on. */
void platform_of_host(struct platform *ret_platform);

void platform_format(const struct platform *p, char ret_text[static PLATFORM_TEXT_SIZE]);

/*
 * How well `have` serves `want` (both normalised): 0 not at all, more is better. The exact variant is best; an older
 * arm variant still runs on a newer one.
 */
unsigned platform_rank(const struct platform *want, const struct platform *have);

#endif
