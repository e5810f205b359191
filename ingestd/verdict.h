/* SPDX-License-Identifier: Apache-2.0 */
/* Judgements about a transfer, and their messages. Nothing here changes a state. */
#ifndef SLUICE_INGESTD_VERDICT_H
#define SLUICE_INGESTD_VERDICT_H

#include "ingestd/transfer.h"

/* Whether the missing bytes fit the file system. False: `why` has the numbers. */
bool verdict_space(const struct ingest *in, struct reason *why);

/* Whether an ingest could be made: there are bytes and inodes at all. */
bool verdict_room(const struct layout *l);

/* Whether a complete ingest is what was expected. False: `why` names both digests, or both sizes. */
bool verdict_content(const struct ingest *in, struct reason *why);

/*
 * Whether so many bytes may come from the source of an ingest (source_size_max()); without one its ref tells. False:
 * `why` has the limit.
 */
bool verdict_length(const struct ingest *in, uint64_t size, struct reason *why);

enum learn {
	LEARN_OK,      /* it is in the record now */
	LEARN_CHANGED, /* the content at the source is not the one that the bytes so far came from */
	LEARN_WRONG,   /* it is not the content that was requested */
};

/* Store an OPENED's size, digest, media type and validator in the record of the transfer's ingest. */
enum learn verdict_learn(struct transfer *t, const struct message *opened, struct reason *why);

/* "cannot VERB 'path of the data': errno text". */
void verdict_io(const struct ingest *in, const char *verb, int r, struct reason *why);

/* One line for the log about the state that a transfer has now. */
void verdict_log_state(const struct transfer *t);

#endif
