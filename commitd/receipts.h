/*
 * The way back to ingestd: HELLO, until it is answered, and a receipt for every seal.
 */
#ifndef SLUICE_COMMITD_RECEIPTS_H
#define SLUICE_COMMITD_RECEIPTS_H

#include "common/wire/peer.h"
#include "common/wire/pipe.h"

struct loop;
struct receipts;

/*
 * `peer` and `self` are borrowed for life. Begins to greet at once. `writable` is called when the pipe takes receipts
 * again, after receipts_wait(). 0 or -errno.
 */
int receipts_new(struct loop *loop, const char *runtime_dir, const struct peer *peer, void (*writable)(void *self),
		 void *self, struct receipts **ret_receipts);
void receipts_free(struct receipts *r);

/* Send COMMITTED or REJECTED. -EAGAIN: the pipe takes none now, or nobody is there. */
int receipts_send(struct receipts *r, const struct message *m);

/* Call `writable`, once, when a receipt can be sent. */
void receipts_wait(struct receipts *r);

/* `peer` has taken a HELLO: greet until greeted. */
void receipts_greet(struct receipts *r);

#endif
