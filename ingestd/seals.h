/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pipe to commitd: a seal for each complete ingest.
 */
#ifndef SLUICE_INGESTD_SEALS_H
#define SLUICE_INGESTD_SEALS_H

#include "common/wire/link.h"
#include "ingestd/transfers.h"

struct seals;

/* The seals that are due are those of `transfers`, which is borrowed. 0 or -ENOMEM. */
int seals_new(struct transfers *transfers, struct seals **ret_seals);
void seals_free(struct seals *s);

/* The link to commitd, borrowed. Until there is one, nothing goes out and what is due stays due. */
void seals_use(struct seals *s, struct link *link);

/* Send every seal that is due, as far as commitd takes them; the rest goes when it does. */
void seals_flush(struct seals *s);

/* commitd said HELLO. It may have none of our seals, so all are due again. commitd merges duplicates. */
void seals_renew(struct seals *s);

/* The seal of a complete ingest. The views hold as long as `digest_text` and the ingest do. */
void seal_of(const struct ingest *in, char digest_text[static DIGEST_TEXT_SIZE], struct message *ret_seal);

#endif
