/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/random.h"

/* System */
#include <stdlib.h>

uint32_t random_u32(void)
{
	return arc4random();
}

uint64_t random_u64(void)
{
	uint64_t value;
	arc4random_buf(&value, sizeof(value));
	return value;
}
