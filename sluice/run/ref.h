/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refs as people give them.
 */
#ifndef SLUICE_SLUICE_RUN_REF_H
#define SLUICE_SLUICE_RUN_REF_H

/* OCI */
#include "common/oci/transfer.h"

/*
 * The ref that somebody means: one as status shows it, or a URL as 'sluice fetch' took it. -EINVAL with a reason, for
 * what cannot be one, and for what may hold a secret and would be printed.
 */
int ref_meant(const char *text, char ret_ref[static REF_MAX + 1], struct reason *why);

#endif
