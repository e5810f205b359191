/*
 * The side of ingestd that faces commitd: seals out, receipts in.
 */
#ifndef SLUICE_INGESTD_SEALS_H
#define SLUICE_INGESTD_SEALS_H

#include "ingestd/desk.h"

struct seals;

/* Connect `seals`, bind `receipts`, and watch them on the desk's loop. 0 or -errno. */
int seals_new(struct desk *desk, struct seals **ret_seals);
void seals_free(struct seals *s);

/* Send every seal that is due, as far as commitd takes them; the rest goes when it does. */
void seals_flush(struct seals *s);

/* The seal of a complete ingest. The views hold as long as `digest_text` and the ingest do. */
void seal_of(const struct ingest *in, char digest_text[static DIGEST_TEXT_SIZE], struct message *ret_seal);

/* Refresh the gauges of both pipes (counters.h). */
void seals_count(const struct seals *s);

#endif
