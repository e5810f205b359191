/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper in the same process: it looks where stand_in_auth_file says, and answers in the next turn of the loop. It
 * runs no helpers.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_KEEPER_H
#define SLUICE_TESTS_UNIT_STAND_IN_KEEPER_H

#include "common/base/loop.h"
#include "fetchd/auth/keeper.h"
#include "tests/unit/unit.h"

struct keeper {
	struct loop *loop;
	const char *auth_file;
};

struct keeper_ask {
	struct loop_timer due;
	struct credential_search search;
	keeper_done *done;
	void *self;
};

static inline void stand_in_answer(void *self)
{
	struct keeper_ask *a = self;
	struct keeper_answer answer = {0};
	answer.result = credentials_find(&a->search, &answer.credential, &answer.why);
	answer.next = a->search.next;
	a->done(a->self, &answer);
	credential_wipe(&answer.credential);
	free(a);
}

int keeper_find(struct keeper *k, const char *host, const char *name, unsigned next, keeper_done *done, void *self,
		struct keeper_ask **ret_ask)
{
	struct keeper_ask *a = calloc(1, sizeof(*a));
	assert_non_null(a);
	a->search = (struct credential_search){k->auth_file, host, name, next};
	a->done = done;
	a->self = self;
	loop_timer_init(&a->due, k->loop, stand_in_answer, a);
	loop_timer_set(&a->due, 0);
	*ret_ask = a;
	return 0;
}

void keeper_watch(struct keeper *k, struct loop *loop, void (*gone)(void *self), void *self)
{
	(void)gone;
	(void)self;
	k->loop = loop;
}

void keeper_reread(struct keeper *k)
{
	(void)k;
}

void keeper_free(struct keeper *k)
{
	(void)k;
}

void keeper_cancel(struct keeper_ask *a)
{
	if (a)
		loop_timer_stop(&a->due);
	free(a);
}

#endif
