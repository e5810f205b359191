/*
 * What commitd says to ingestd: HELLO, until it is answered, and a receipt for every seal.
 *
 * A receipt that the pipe does not take now waits in a list that has an end. When the list is full the oldest is
 * dropped, and with a new incarnation of ingestd all of them: ingestd asks again for every seal that it has no receipt
 * for, and a commit that is done is found done.
 */
#ifndef SLUICE_COMMITD_RECEIPTS_H
#define SLUICE_COMMITD_RECEIPTS_H

#include "common/wire/peer.h"
#include "common/wire/pipe.h"

#define RECEIPTS_WAITING_MAX 1024

struct ev_loop;
struct receipts;

/* `peer` is borrowed for life. Begins to greet at once. 0 or -errno. */
int receipts_new(struct ev_loop *loop, const char *runtime_dir, const struct peer *peer,
		 struct receipts **ret_receipts);
void receipts_free(struct receipts *r);

/* Send COMMITTED or REJECTED, or keep it for later. The message is copied where it must wait. */
void receipts_send(struct receipts *r, const struct message *m);

/* A HELLO came and `peer` has taken it: greet until greeted; `is_new` tells that the former ingestd is gone. */
void receipts_peer_changed(struct receipts *r, bool is_new);

#endif
