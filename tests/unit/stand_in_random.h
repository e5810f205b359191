/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers that are the same in each run, linked in place of common/base/random.c. Include it in one file of a
 * program.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_RANDOM_H
#define SLUICE_TESTS_UNIT_STAND_IN_RANDOM_H

/* What it stands in for */
#include "common/base/random.h"

static uint64_t stand_in_random = 1;

/* Marsaglia's xorshift: never 0. */
uint64_t random_u64(void)
{
	stand_in_random ^= stand_in_random << 13;
	stand_in_random ^= stand_in_random >> 7;
	stand_in_random ^= stand_in_random << 17;
	return stand_in_random;
}

uint32_t random_u32(void)
{
	return (uint32_t)(random_u64() >> 32);
}

#endif
