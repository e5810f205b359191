/*
 * Numbers as people read them.
 */
#ifndef SLUICE_BASE_TEXT_H
#define SLUICE_BASE_TEXT_H

#include <stdint.h>

#define TEXT_SIZE_ROOM 8 /* "1023MiB" */

/* A number of bytes in at most 7 characters: "0B", "12.3MiB", "1023KiB". */
void text_size(uint64_t bytes, char ret_text[static TEXT_SIZE_ROOM]);

#endif
