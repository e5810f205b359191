/* SPDX-License-Identifier: Apache-2.0 */
/* Human-readable numbers, and texts that are safe in a header line. */
#ifndef SLUICE_BASE_TEXT_H
#define SLUICE_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/span.h"

#define TEXT_SIZE_ROOM  8 /* "1023MiB" */
#define TEXT_PROSE_ROOM 9 /* "1023 MiB" */

/* A number of bytes for a column, in at most 7 characters: "0B", "12.3MiB", "1023KiB". */
void text_size(uint64_t bytes, char ret_text[static TEXT_SIZE_ROOM]);

/* The same in a sentence: "0 B", "12.3 MiB". */
void text_size_prose(uint64_t bytes, char ret_text[static TEXT_PROSE_ROOM]);

/* A number in decimal digits and nothing else, of at most `max`. 0 or -EINVAL. */
int text_number(struct span text, uint64_t max, uint64_t *ret_number);

/* Whether the text is 1 to `max` printable ASCII characters without blanks: an OAuth token, safe in a header line. */
bool text_is_visible(const char *text, size_t max);

#endif
