/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe to commitd: a seal for each complete ingest.
 */
#ifndef SLUICE_INGESTD_SEALS_H
#define SLUICE_INGESTD_SEALS_H

#include "common/wire/link.h"
#include "ingestd/transfers.h"

struct seals;

/* Seals for `transfers`, which is borrowed. 0 or -ENOMEM. */
int seals_new(struct transfers *transfers, struct seals **ret_seals);
void seals_free(struct seals *s);

/* Use this link to commitd, borrowed. Until then nothing is sent, and what is due stays due. */
void seals_use(struct seals *s, struct link *link);

/* Send the seals that are due, as many as commitd accepts; the rest when it accepts more. */
void seals_flush(struct seals *s);

/* commitd said HELLO. It may have none of our seals, so all are due again. commitd merges duplicates. */
void seals_renew(struct seals *s);

/* The seal of a complete ingest. Its views are valid as long as `digest_text` and the ingest are. */
void seal_of(const struct ingest *in, char digest_text[static DIGEST_TEXT_SIZE], struct message *ret_seal);

#endif
