/*
 * The three stages: what each is called, and which start of which this process is.
 */
#ifndef SLUICE_WIRE_STAGE_H
#define SLUICE_WIRE_STAGE_H

#include "common/wire/message.h"

/* "fetchd" */
const char *stage_name(enum stage_id stage);

/* "fetchd.lock", in the runtime directory: flock'd by the daemon for as long as it runs. */
const char *stage_lock(enum stage_id stage);

/* What a stage says of itself to everybody. */
struct stage_self {
	enum stage_id stage;
	uint64_t incarnation; /* unique for each start; never 0 */
	uint64_t started_s;   /* wall clock */
};

/* A fresh incarnation. 0 or -errno of getrandom(2). */
int stage_self_init(struct stage_self *self, enum stage_id stage);

#endif
