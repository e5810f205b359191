/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's own side (keeper.h), and what goes over its socket: one packet for each question, and one for its
 * answer. Who asks is taken for compromised: a packet of another size or kind ends the keeper, and a host or name that
 * could forge a line is refused.
 */
#ifndef SLUICE_FETCHD_AUTH_KEEPER_SERVE_H
#define SLUICE_FETCHD_AUTH_KEEPER_SERVE_H

#include "common/base/program.h"
#include "common/base/reason.h"

#define KEEPER_NAME      "fetchd-keeper" /* as ps(1) shows it */
#define KEEPER_WORD_SIZE 264             /* bytes of a host with its port, or of a name, and the end */
#define KEEPER_VALUE_MAX 16384           /* bytes of a credential */
#define KEEPER_SEARCHES  128             /* at once; fetchd has no more (pass.h) */

enum keeper_question_kind {
	KEEPER_FIND = 1,
	KEEPER_DROP, /* nobody waits for the answer any more: end the helper */
};

struct keeper_question {
	uint64_t id;
	uint32_t kind;
	uint32_t reads; /* how often fetchd has read its configuration: where that is new, the keeper does the same */
	uint32_t next;  /* the place to begin with (credentials.h) */
	char host[KEEPER_WORD_SIZE];
	char name[KEEPER_WORD_SIZE];
};

struct keeper_reply {
	uint64_t id;
	int32_t result;
	uint32_t next; /* to continue with */
	uint32_t kind; /* enum credential_kind */
	struct reason why;
	char value[KEEPER_VALUE_MAX + 1];
};

/* Serve on `fd`, which it owns, until the other end is closed. The process has one thread, and no event loop yet. */
_Noreturn void keeper_serve(int fd, const struct call *call);

#endif
