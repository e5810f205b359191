/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/logins.h"

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"

/* OCI */
#include "common/oci/source.h"

struct login {
	LIST_ENTRY(login) link;
	uint64_t client;
	struct policy *policy; /* owned: a reference */
	char source[sizeof(SOURCE_REGISTRY_SCHEME) + REFERENCE_HOST_MAX];
	char ref[REF_MAX + 1]; /* unlike that of any other order */
	uint64_t attempt;
	uint64_t asked_ms; /* monotonic */
	bool is_sent;
};

static void login_free(struct logins *ls, struct login *l)
{
	LIST_REMOVE(l, link);
	ls->len--;
	policy_drop(l->policy);
	free(l);
}

static void send_order(struct logins *ls, struct login *l)
{
	const struct message m = {
	    .type = MSG_FETCH,
	    .ref = span_str(l->ref),
	    .attempt = l->attempt,
	    .source = span_str(l->source),
	    .policy = policy_bytes(l->policy),
	    .size = SIZE_UNKNOWN,
	};

	if (!l->is_sent)
		l->is_sent = orders_send(ls->orders, &m) == 0;
}

void logins_flush(struct logins *ls)
{
	struct login *l;

	LIST_FOREACH(l, &ls->all, link)
		send_order(ls, l);
}

void logins_renew(struct logins *ls)
{
	struct login *l;

	LIST_FOREACH(l, &ls->all, link)
		l->is_sent = false;
	logins_flush(ls);
}

static void drop(struct logins *ls, struct login *l)
{
	orders_cancel(ls->orders, span_str(l->ref), l->attempt);
	login_free(ls, l);
}

static void drop_old(struct logins *ls)
{
	struct login *l = LIST_FIRST(&ls->all), *next;

	for (; l; l = next) {
		next = LIST_NEXT(l, link);
		if (clock_mono_ms() - l->asked_ms >= LOGIN_AGAIN_MS)
			drop(ls, l);
	}
}

/* One of the same user, for the same host and with the same credentials: policies of a user are shared. */
static struct login *find(const struct logins *ls, const struct policy *policy, const char *source)
{
	struct login *l;

	LIST_FOREACH(l, &ls->all, link)
		if (l->policy == policy && strcmp(l->source, source) == 0)
			break;
	return l;
}

int logins_ask(struct logins *ls, uint64_t client, struct policy *policy, struct span host, uint64_t attempt)
{
	char text[sizeof(((struct login *)0)->source)];
	struct source source;

	int len = snprintf(text, sizeof(text), SOURCE_REGISTRY_SCHEME "%.*s", SPAN_ARG(host));
	if (len >= (int)sizeof(text) || source_parse(span_str(text), &source, NULL) < 0)
		return -EINVAL;
	drop_old(ls);
	struct login *l = find(ls, policy, text);
	if (!l) {
		l = ls->len < LOGINS_MAX ? calloc(1, sizeof(*l)) : NULL;
		if (!l)
			return ls->len < LOGINS_MAX ? -ENOMEM : -EAGAIN;
		l->policy = policy_share(policy);
		l->attempt = attempt;
		memcpy(l->source, text, sizeof(l->source));
		(void)snprintf(l->ref, sizeof(l->ref), "%s?%" PRIu64, text, attempt);
		LIST_INSERT_HEAD(&ls->all, l, link);
		ls->len++;
	}
	l->client = client;
	l->asked_ms = clock_mono_ms();
	send_order(ls, l);
	return 0;
}

static struct login *find_ref(const struct logins *ls, struct span ref)
{
	struct login *l;

	LIST_FOREACH(l, &ls->all, link)
		if (span_eq(span_str(l->ref), ref))
			break;
	return l;
}

bool logins_take(struct logins *ls, const struct message *m)
{
	struct login *l = find_ref(ls, m->ref);
	struct message answer = {.type = MSG_OK};

	if (!l)
		return false;
	if (m->attempt != l->attempt || (m->type != MSG_OPENED && m->type != MSG_FAIL))
		return true;
	if (m->type == MSG_FAIL)
		answer = (struct message){
		    .type = MSG_ERROR,
		    .fail_class = m->fail_class == FAIL_NONE ? (uint8_t)FAIL_AGAIN : m->fail_class,
		    .text = m->text,
		};
	ls->answer(ls->self, l->client, &answer);
	drop(ls, l);
	return true;
}

void logins_release(struct logins *ls)
{
	while (!LIST_EMPTY(&ls->all))
		login_free(ls, LIST_FIRST(&ls->all));
}
