/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Texts of a configuration: kept for the life of the process, and each only once, so that reading it again leaks
 * nothing.
 */
#ifndef SLUICE_BASE_KEEP_H
#define SLUICE_BASE_KEEP_H

/* The kept copy of a text. NULL: out of memory. Not for threads. */
const char *keep_text(const char *text);

#endif
