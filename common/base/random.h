/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Chance: for what must not be guessed or meet by accident, and to spread what would come at once.
 *
 * A seam: another implementation can take the place of random.c when a program is linked.
 */
#ifndef SLUICE_BASE_RANDOM_H
#define SLUICE_BASE_RANDOM_H

#include <stdint.h>

/* All values alike, from the kernel's generator. Never fails, never blocks once the machine is up. */
uint32_t random_u32(void);
uint64_t random_u64(void);

#endif
