/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asks commitd to CHECK many blobs, a few at a time: on connections of its own, and on the client's where one of these is
 * lost, so that a commitd that restarts is waited for as by any command.
 */
#ifndef SLUICE_SLUICE_RUN_CHECKS_H
#define SLUICE_SLUICE_RUN_CHECKS_H

/* OCI */
#include "common/oci/digest.h"

/* Sluice */
#include "sluice/run/client.h"

#define CHECKS_AT_ONCE 2

struct checks_order {
	struct client *client;
	const char *runtime_dir;
	uint8_t flags; /* of CHECK */
	uint64_t age_s;
	/* The answer about the blob with that number. FAIL_NONE: it is good. */
	void (*answered)(void *self, size_t number, enum fail_class f, struct span text);
	/* Called every now and then. */
	void (*tick)(void *self);
	void *self;
};

/*
 * Ask for all of them. 0, or an exit code with a reason: interrupted, or as client_ask(). What cannot be answered for now
 * (FAIL_AGAIN) is asked again, for a minute. Blocks.
 */
int checks_run(const struct checks_order *order, const struct digest *digests, size_t len, struct reason *why);

#endif
