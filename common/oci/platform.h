/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Platforms, "os/architecture[/variant]", for Windows also with the version: "windows(10.0.20348)/amd64". They are
 * normalised and matched as in containerd's platforms package: aarch64 is arm64, x86_64 is amd64, arm alone is arm/v7,
 * arm64/v8 is arm64.
 */
#ifndef SLUICE_OCI_PLATFORM_H
#define SLUICE_OCI_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/reason.h"
#include "common/base/span.h"

#define PLATFORM_PART_MAX  31
#define PLATFORM_TEXT_SIZE (4 * (PLATFORM_PART_MAX + 1) + 1)

struct platform {
	char os[PLATFORM_PART_MAX + 1];
	char os_version[PLATFORM_PART_MAX + 1]; /* may be empty, as may the variant */
	char architecture[PLATFORM_PART_MAX + 1];
	char variant[PLATFORM_PART_MAX + 1];
};

/*
 * -EINVAL with a reason that quotes the text. The result is normalised. A known architecture or a known os may be given
 * alone; the other part is then this machine's.
 */
int platform_parse(struct span text, struct platform *ret_platform, struct reason *why);

/*
 * The same from a document, where the parts are separate; `os_version` and `variant` may be NULL. A version that cannot
 * be compared is left out.
 */
int platform_of_parts(const char *os, const char *os_version, const char *architecture, const char *variant,
		      struct platform *ret_platform, struct reason *why);

/* The platform that this program runs on. */
void platform_of_host(struct platform *ret_platform);

void platform_format(const struct platform *p, char ret_text[static PLATFORM_TEXT_SIZE]);

/* unknown/unknown, as build tools mark attestations and the like in an index. */
void platform_of_none(struct platform *ret_platform);
bool platform_is_of_no_machine(const struct platform *p);

/*
 * How well `have` serves `want` (both normalised): 0 not at all, more is better. The exact variant is best; older ones
 * of arm, arm64 and amd64 run on newer machines, arm on arm64 and 386 on amd64. Windows runs images for its own
 * version; from Server 2022 (build 20348) on also older ones, down to that build; without a version anything matches.
 */
uint64_t platform_rank(const struct platform *want, const struct platform *have);

#endif
