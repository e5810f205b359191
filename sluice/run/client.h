/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command's connection to the stages: requests on their ctl sockets, repeated until they are answered, and ingestd's
 * events about this command's transfers, as hints.
 */
#ifndef SLUICE_SLUICE_RUN_CLIENT_H
#define SLUICE_SLUICE_RUN_CLIENT_H

/* System */
#include <stdbool.h>

/* Wire */
#include "common/wire/codec.h"
#include "common/wire/stage.h"

/* Sluice */
#include "sluice/run/stages.h"

#define CLIENT_PATIENCE_MS 60000u /* give up on a stage that has been silent this long */

struct client_options {
	const char *runtime_dir;
	const char *store;     /* the store that the stages must serve */
	struct stages *stages; /* borrowed; NULL: do not start them */
	unsigned patience_ms;
	bool ingestd_alone; /* commitd will get no requests, so it may be down */
	bool says_versions; /* log once for each stage that it understands other versions of the protocol */
	/* Show a line to the waiting user: "waiting for ingestd". May be NULL. */
	void (*note)(void *self, const char *text);
	void *self;
};

struct client;

/*
 * Connect, and wait until the stages answer that they serve this store. 0, or an exit code with a reason: 78 if they
 * serve another one, 76 if we have no protocol version in common, 77 if we may not connect. The strings are borrowed.
 */
int client_open(const struct client_options *options, struct client **ret_client, struct reason *why);
void client_close(struct client *c);

/*
 * Send a request, and repeat it until there is an answer: requests are idempotent. 0: `ret_answer`, which may be
 * MSG_ERROR, is valid until the next request to that stage. Or an exit code with a reason: EXIT_INTERRUPTED, 75 if the
 * stage is silent for `patience_ms`, or that of stages that cannot start. A stage that lives is waited for, however long
 * it takes. Blocks.
 */
int client_ask(struct client *c, enum stage_id stage, const struct message *request, struct message *ret_answer,
	       struct reason *why);

/*
 * The same once, without patience: for what can be done later as well. 0, or -errno if there was no answer within a
 * second.
 */
int client_try(struct client *c, enum stage_id stage, const struct message *request, struct message *ret_answer);

/* As client_ask(), but accept only `wanted`: MSG_ERROR becomes its exit code and text. */
int client_demand(struct client *c, enum stage_id stage, const struct message *request, enum message_type wanted,
		  struct message *ret_answer, struct reason *why);

/*
 * Whether ingestd has restarted since the last call, or since the start, and so has forgotten our requests. 0, or an
 * exit code as from client_ask().
 */
int client_check_incarnation(struct client *c, bool *ret_changed, struct reason *why);

/* Whether events may have been missed since the last call: their connection broke, or too many of them were queued. */
bool client_missed(struct client *c);

/* Wait up to `wait_ms` for an event about something requested by GET. True: `ret_event` holds until the next call. */
bool client_event(struct client *c, unsigned wait_ms, struct message *ret_event);

#endif
