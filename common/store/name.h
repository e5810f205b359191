/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which texts are names in index.json.
 */
#ifndef SLUICE_STORE_NAME_H
#define SLUICE_STORE_NAME_H

#include <stdbool.h>

#include "common/base/span.h"

#define NAME_MAX_BYTES 1024

/*
 * Whether the name fits the annotation's character set (annotations.md, org.opencontainers.image.ref.name): components
 * separated by slashes, each beginning and ending with a letter or a digit. Beyond that grammar, separators may be
 * adjacent ("a__b" is a valid repository name), and "[::1]" may come first.
 */
bool name_is_valid(struct span name);

#endif
