/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/hold.h"

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/log.h"

/* Store */
#include "common/store/lease.h"

#define ID_DIGITS 32

struct hold {
	struct client *client;
	char *purpose; /* owned */
	uint64_t ttl_s;
	char id[sizeof("command-") + ID_DIGITS];
	char *ref;          /* owned, or NULL */
	struct buf members; /* collected */
	bool is_sent, is_refused;
	uint64_t renew_ms;
};

/* The same for the same purpose of the same user. */
static void make_id(struct hold *h, const char *purpose)
{
	AUTO_BUF text = BUF_INIT;
	struct digest d;
	char hex[DIGEST_TEXT_SIZE] = "0";

	if (buf_appendf(&text, "%lu %s", (unsigned long)geteuid(), purpose) == 0) {
		digest_of(HASH_SHA256, text.data, text.len, &d);
		digest_format_hex(&d, hex);
	}
	(void)snprintf(h->id, sizeof(h->id), "command-%.*s", ID_DIGITS, hex);
}

int hold_new(struct client *c, const char *purpose, uint64_t ttl_s, struct hold **ret_hold)
{
	struct hold *h = calloc(1, sizeof(*h));

	if (!h)
		return -ENOMEM;
	h->client = c;
	h->ttl_s = ttl_s;
	h->purpose = strndup(purpose, LEASE_PURPOSE_MAX);
	if (!h->purpose) {
		free(h);
		return -ENOMEM;
	}
	make_id(h, purpose);
	*ret_hold = h;
	return 0;
}

void hold_free(struct hold *h)
{
	if (!h)
		return;
	free(h->purpose);
	free(h->ref);
	buf_release(&h->members);
	free(h);
}

int hold_add_ref(struct hold *h, struct span ref)
{
	free(h->ref);
	h->ref = strndup((const char *)ref.data, ref.len);
	return h->ref ? 0 : -ENOMEM;
}

static int add(struct hold *h, const char *key, const struct digest *d)
{
	char text[DIGEST_TEXT_SIZE];

	digest_format(d, text);
	return buf_appendf(&h->members, "%s%s=%s", h->members.len > 0 ? " " : "", key, text);
}

int hold_add(struct hold *h, const struct digest *d)
{
	return add(h, "content", d);
}

int hold_add_root(struct hold *h, const struct digest *d)
{
	return add(h, "root", d);
}

/* As many whole words as one message has room for. */
static size_t batch_len(const struct buf *members)
{
	size_t len = members->len;

	if (len <= MEMBERS_MAX)
		return len;
	for (len = MEMBERS_MAX; members->data[len] != ' '; len--)
		;
	return len;
}

static int send_batch(struct hold *h, size_t len, struct reason *why)
{
	const struct message lease = {
	    .type = MSG_LEASE,
	    .name = span_str(h->id),
	    .text = span_str(h->purpose),
	    .ref = span_str(h->ref),
	    .ttl_s = h->ttl_s,
	    .members = span_of(h->members.data, len),
	};
	struct message answer;
	int code = client_ask(h->client, STAGE_COMMITD, &lease, &answer, why);

	if (code != 0)
		return code;
	h->is_sent = true;
	h->renew_ms = clock_mono_ms() + HOLD_RENEW_MS;
	if (answer.type != MSG_OK) {
		log_warning("no lease, so that a 'sluice gc' may remove what is being fetched: %.*s",
			    SPAN_ARG(answer.text));
		h->is_refused = true;
	}
	return 0;
}

int hold_send(struct hold *h, struct reason *why)
{
	int code = 0;

	while (code == 0 && !h->is_refused && (h->members.len > 0 || !h->is_sent)) {
		size_t len = batch_len(&h->members);
		code = send_batch(h, len, why);
		if (code != 0)
			break;
		len += len < h->members.len; /* the blank */
		if (len > 0)
			memmove(h->members.data, h->members.data + len, h->members.len - len);
		h->members.len -= len;
	}
	if (h->is_refused)
		buf_clear(&h->members);
	return code;
}

bool hold_is_kept(const struct hold *h)
{
	return h->is_sent && !h->is_refused;
}

bool hold_renew(struct hold *h)
{
	const struct message lease = {.type = MSG_LEASE, .name = span_str(h->id), .ttl_s = h->ttl_s};
	struct message answer;
	uint64_t now_ms = clock_mono_ms();

	if (!h->is_sent || h->is_refused || now_ms < h->renew_ms)
		return true;
	h->renew_ms = now_ms + HOLD_RENEW_MS;
	if (client_try(h->client, STAGE_COMMITD, &lease, &answer) < 0)
		return true; /* it is down, and so is every gc */
	return answer.type != MSG_ERROR || answer.fail_class != FAIL_NOT_FOUND;
}

void hold_release(struct hold *h)
{
	const struct message release = {.type = MSG_RELEASE, .name = span_str(h->id)};
	struct message answer;

	if (h->is_sent && !h->is_refused)
		(void)client_try(h->client, STAGE_COMMITD, &release, &answer);
}
