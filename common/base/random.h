/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers: for what must not be guessed or collide, and to spread what would happen at the same time.
 *
 * A seam: another implementation can take the place of random.c when a program is linked.
 */
#ifndef SLUICE_BASE_RANDOM_H
#define SLUICE_BASE_RANDOM_H

#include <stdint.h>

/* Uniform over all values, from the kernel's generator. Never fails, and never blocks once the machine is up. */
uint32_t random_u32(void);
uint64_t random_u64(void);

#endif
