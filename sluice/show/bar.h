/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The line of one blob in progress, and the line of the total. From left to right: label, state, bar, amount, rate,
 * time left. What does not fit is left out: first the time left, then the rate, then the bar, then the amount.
 */
#ifndef SLUICE_SLUICE_SHOW_BAR_H
#define SLUICE_SLUICE_SHOW_BAR_H

/* System */
#include <stdbool.h>
#include <stdint.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/reason.h"

/* OCI */
#include "common/oci/transfer.h"

/* Sluice */
#include "sluice/show/text.h"

/* What is known about one blob. */
struct bar {
	const char *ref; /* borrowed, for the life of the progress */
	char label[TEXT_LABEL_ROOM];
	bool begun;    /* it was requested, or found stored */
	bool was_here; /* it was stored before it was requested */
	enum transfer_state state;
	const char *word; /* what is shown for it; borrowed; NULL: its name */
	uint64_t offset;
	uint64_t total; /* or SIZE_UNKNOWN */
	uint64_t rate;
	uint64_t until_s;
	char text[REASON_MAX];
};

/* Append a line of at most `width` columns, without a newline. `now_s`: the wall clock. 0 or -ENOMEM. */
int bar_line(const struct bar *bar, unsigned width, uint64_t now_s, struct buf *out);
int bar_summary(const struct bar *bars, size_t len, unsigned width, struct buf *out);

#endif
