/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Refs by the first digits of a digest, as status shows them on a terminal.
 */
#ifndef SLUICE_SLUICE_CMD_REFS_H
#define SLUICE_SLUICE_CMD_REFS_H

/* Sluice */
#include "sluice/run/client.h"
#include "sluice/run/ref.h"
#include "sluice/show/status.h"

/* Append all transfers, as ingestd has them. 0, or an exit code with a reason. */
int refs_list(struct client *c, struct status_list *list, struct reason *why);

/* Whether it may be the beginning of a digest, so that refs_find() needs all transfers. */
bool refs_are_digits(const char *text);

/*
 * The ref that somebody means: as ref_meant() has it, but if it is none in `list`, the only one there that is a digest and
 * begins with these digits. Otherwise it is what ref_meant() says. 0; 64: it cannot be a ref, or there are several; 66:
 * it cannot be a ref, only the beginning of one, and there is none. With a reason.
 */
int refs_find(const struct status_list *list, const char *text, char ret_ref[static REF_MAX + 1], struct reason *why);

/* The same with the transfers of ingestd. 0, or an exit code with a reason. */
int refs_find_served(struct client *c, const char *text, char ret_ref[static REF_MAX + 1], struct reason *why);

#endif
