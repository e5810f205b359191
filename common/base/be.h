/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fixed-width big-endian integers in byte buffers. The caller has checked the room.
 */
#ifndef SLUICE_BASE_BE_H
#define SLUICE_BASE_BE_H

#include <stdint.h>

static inline void be_put(uint8_t *p, uint64_t value, unsigned width_bytes)
{
	for (unsigned i = 0; i < width_bytes; i++)
		p[i] = (uint8_t)(value >> (8 * (width_bytes - 1 - i)));
}

static inline uint64_t be_get(const uint8_t *p, unsigned width_bytes)
{
	uint64_t value = 0;
	for (unsigned i = 0; i < width_bytes; i++)
		value = value << 8 | p[i];
	return value;
}

#endif
