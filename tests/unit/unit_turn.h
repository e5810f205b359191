/* SPDX-License-Identifier: Apache-2.0 */
/* Turning a loop until something holds; a test that turns it in vain fails and says for what. */
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
