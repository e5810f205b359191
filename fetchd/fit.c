/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/fit.h"

/* What arrives in the time of an answer: bytes. */
static uint64_t per_answer(const struct fit_path *p)
{
	uint64_t latency_ms = p->latency_ms < FIT_LATENCY_MAX_MS ? p->latency_ms : FIT_LATENCY_MAX_MS;
	uint64_t rate = p->rate < UINT32_MAX ? p->rate : UINT32_MAX; /* so that nothing overflows */
	return latency_ms * rate / 1000;
}

uint64_t fit_size(const struct fit_path *p, uint64_t unit)
{
	uint64_t size = FIT_ANSWERS * per_answer(p);
	if (size < FIT_SIZE_MIN)
		size = FIT_SIZE_MIN;
	if (size > FIT_SIZE_MAX)
		size = FIT_SIZE_MAX;
	return (size + unit - 1) / unit * unit;
}
