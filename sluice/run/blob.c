/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/blob.h"

/* System */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPEN_STATES (BLOB_LOST + 1)

static const enum blob_state next_state[][OPEN_STATES] = {
    [BLOB_HEARD_IN_HAND] = {BLOB_FOLLOWED, BLOB_FOLLOWED, BLOB_FOLLOWED, BLOB_FOLLOWED},
    [BLOB_HEARD_WAITING] = {BLOB_FOLLOWED, BLOB_FOLLOWED, BLOB_LOST, BLOB_FOLLOWED},
    [BLOB_HEARD_IDLE] = {BLOB_LOST, BLOB_LOST, BLOB_LOST, BLOB_LOST},
    [BLOB_HEARD_COMMITTED] = {BLOB_LOST, BLOB_LOST, BLOB_LOST, BLOB_LOST},
    [BLOB_HEARD_UNKNOWN] = {BLOB_FAILED, BLOB_FAILED, BLOB_LOST, BLOB_FAILED},
    [BLOB_HEARD_PROGRESS] = {BLOB_NEW, BLOB_FOLLOWED, BLOB_ORPHANED, BLOB_LOST},
    [BLOB_HEARD_ENDED] = {BLOB_NEW, BLOB_FOLLOWED, BLOB_ORPHANED, BLOB_LOST},
    [BLOB_HEARD_RESTARTED] = {BLOB_NEW, BLOB_ORPHANED, BLOB_ORPHANED, BLOB_ORPHANED},
    [BLOB_HEARD_STORED] = {BLOB_STORED, BLOB_STORED, BLOB_STORED, BLOB_STORED},
    [BLOB_HEARD_FAILED] = {BLOB_FAILED, BLOB_FAILED, BLOB_FAILED, BLOB_FAILED},
};

bool blob_is_open(const struct blob *b)
{
	return b->state == BLOB_FOLLOWED || b->state == BLOB_ORPHANED || b->state == BLOB_LOST;
}

enum blob_heard blob_heard_of(const struct message *answer, bool look)
{
	if (answer->type == MSG_ERROR)
		return look && answer->fail_class == FAIL_NOT_FOUND ? BLOB_HEARD_UNKNOWN : BLOB_HEARD_FAILED;
	switch ((enum transfer_state)answer->state) {
	case TRANSFER_COMMITTED:
		return BLOB_HEARD_COMMITTED;
	case TRANSFER_FAILED:
		return BLOB_HEARD_FAILED;
	case TRANSFER_WAITING:
		return span_eq(answer->text, span_str(TRANSFER_UNASKED)) ? BLOB_HEARD_IDLE : BLOB_HEARD_WAITING;
	case TRANSFER_QUEUED:
	case TRANSFER_FETCHING:
	case TRANSFER_SEALED:
		if (answer->fail_class != FAIL_NONE) /* it has not failed, but cannot continue for now */
			return BLOB_HEARD_FAILED;
		break;
	}
	return BLOB_HEARD_IN_HAND;
}

/* After COMMITTED without stored content, or a blob that vanished, give it time; otherwise do not wait. */
static bool is_to_wait(const struct blob *b, enum blob_heard heard, bool was_requested)
{
	return was_requested || heard == BLOB_HEARD_COMMITTED ||
	       (heard == BLOB_HEARD_UNKNOWN && b->state == BLOB_FOLLOWED);
}

static uint64_t again_ms(const struct blob *b)
{
	uint64_t pause_ms = (uint64_t)b->requests * BLOB_AGAIN_STEP_MS;

	return pause_ms < BLOB_AGAIN_MAX_MS ? pause_ms : BLOB_AGAIN_MAX_MS;
}

void blob_hear(struct blob *b, enum blob_heard heard, uint64_t now_ms)
{
	bool was_requested = b->state == BLOB_NEW || b->state == BLOB_LOST;

	assert(b->state < OPEN_STATES);
	enum blob_state next = next_state[heard][b->state];
	if (heard == BLOB_HEARD_UNKNOWN && b->state == BLOB_FOLLOWED && b->digest != BLOB_DIGEST_GIVEN &&
	    !b->failed_last && b->requests < BLOB_REQUESTS_BY_TAG)
		next = BLOB_LOST;
	if (heard == BLOB_HEARD_PROGRESS)
		;
	else if (heard == BLOB_HEARD_ENDED || heard == BLOB_HEARD_RESTARTED)
		b->due_ms = next == BLOB_LOST ? b->due_ms : now_ms;
	else if (next == BLOB_FOLLOWED)
		b->due_ms = BLOB_NOT_DUE;
	else if (next == BLOB_LOST)
		b->due_ms = is_to_wait(b, heard, was_requested) ? now_ms + again_ms(b) : now_ms;
	b->state = next;
	b->heard_ms = now_ms;
}

void blob_learn(struct blob *b, const struct message *record)
{
	struct descriptor *d = &b->content;

	if (b->digest != BLOB_DIGEST_GIVEN && record->state == TRANSFER_COMMITTED &&
	    digest_parse(record->digest, &d->digest, NULL) == 0)
		b->digest = BLOB_DIGEST_LEARNED;
	if (!d->media_type[0] && record->media_type.len <= MEDIA_TYPE_MAX)
		(void)snprintf(d->media_type, sizeof(d->media_type), "%.*s", SPAN_ARG(record->media_type));
}

void blob_release(struct blob *b)
{
	free(b->ref);
	free(b->source);
	free(b->why);
}
