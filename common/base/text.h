/* SPDX-License-Identifier: Apache-2.0 */
/* Human-readable numbers. */
#ifndef SLUICE_BASE_TEXT_H
#define SLUICE_BASE_TEXT_H

#include <stdint.h>

#define TEXT_SIZE_ROOM  8 /* "1023MiB" */
#define TEXT_PROSE_ROOM 9 /* "1023 MiB" */

/* A number of bytes for a column, in at most 7 characters: "0B", "12.3MiB", "1023KiB". */
void text_size(uint64_t bytes, char ret_text[static TEXT_SIZE_ROOM]);

/* The same in a sentence: "0 B", "12.3 MiB". */
void text_size_prose(uint64_t bytes, char ret_text[static TEXT_PROSE_ROOM]);

#endif
