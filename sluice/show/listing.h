/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transfers as people read them in `sluice status`.
 */
#ifndef SLUICE_SLUICE_SHOW_LISTING_H
#define SLUICE_SLUICE_SHOW_LISTING_H

/* Base */
#include "common/base/buf.h"

/* Sluice */
#include "sluice/show/status.h"

/* Everything, in columns of any width: for files and pipes. 0 or -ENOMEM. */
int listing_whole(const struct status_list *list, struct buf *out);

/*
 * Lines of at most `width` columns, for a terminal. Active transfers come first; columns that do not fit are left out,
 * the least useful ones first. What a transfer waits for, or why it failed, is below it. 0 or -ENOMEM.
 */
int listing_narrow(const struct status_list *list, unsigned width, struct buf *out);

/*
 * The same in at most `height` lines, for --watch: a reason has one line, the first line is a total, and if the list is
 * cut it ends with the number of those not shown. 0 or -ENOMEM.
 */
int listing_watched(const struct status_list *list, unsigned width, unsigned height, struct buf *out);

#endif
