/* SPDX-License-Identifier: Apache-2.0 */
/* Turn a loop until a condition holds. If it never does, the test fails and names the condition. */
#ifndef SLUICE_UNIT_TURN_H
#define SLUICE_UNIT_TURN_H

#include "common/base/clock.h"
#include "common/base/loop.h"

/* `wait`: as for loop_turn(). */
#define unit_turn_until(loop, wait, patience_ms, condition)                                                            \
	do {                                                                                                           \
		uint64_t end_ms_ = clock_mono_ms() + (patience_ms);                                                    \
		while (!(condition) && clock_mono_ms() < end_ms_)                                                      \
			loop_turn(loop, wait);                                                                         \
		if (!(condition))                                                                                      \
			fail_msg("in vain: %s", #condition);                                                           \
	} while (0)

#endif
