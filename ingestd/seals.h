/*
 * The pipe to commitd: a seal for each complete ingest.
 */
#ifndef SLUICE_INGESTD_SEALS_H
#define SLUICE_INGESTD_SEALS_H

#include "common/wire/peer.h"
#include "ingestd/transfers.h"

struct loop;
struct seals;

/*
 * Connect `seals` in the runtime directory and begin with a HELLO. The seals that are due are those of `transfers`,
 * which is borrowed. 0 or -errno.
 */
int seals_new(struct loop *loop, const char *runtime_dir, struct transfers *transfers, struct seals **ret_seals);
void seals_free(struct seals *s);

/* Send every seal that is due, as far as commitd takes them; the rest goes when it does. */
void seals_flush(struct seals *s);

/*
 * Take commitd's HELLO. It has no seal of ours, or cannot know that it has: all go again. It joins doubles itself.
 */
void seals_greet(struct seals *s, uint64_t incarnation, uint64_t named);

/* The seal of a complete ingest. The views hold as long as `digest_text` and the ingest do. */
void seal_of(const struct ingest *in, char digest_text[static DIGEST_TEXT_SIZE], struct message *ret_seal);

/* Refresh the gauges of the pipe (counters.h). */
void seals_count(const struct seals *s);

#endif
