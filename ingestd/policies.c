/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/policies.h"

/* System */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/log.h"
#include "common/base/process.h"

/* Wire */
#include "common/wire/source_policy.h"

struct policy {
	LIST_ENTRY(policy) link;
	uid_t uid;
	unsigned users;
	bool has_secret;
	size_t len;
	uint8_t bytes[];
};

static struct policy *find(const struct policies *ps, uid_t uid, struct span bytes, size_t *ret_of_user)
{
	struct policy *p, *found = NULL;

	*ret_of_user = 0;
	LIST_FOREACH(p, ps, link) {
		*ret_of_user += p->uid == uid;
		if (p->uid == uid && span_eq(policy_bytes(p), bytes))
			found = p;
	}
	return found;
}

static void hide_memory(void)
{
	int r = process_hide();

	if (r < 0)
		log_warning("passwords may be in a core file of this process: %s", strerror(-r));
}

int policies_take(struct policies *ps, uid_t uid, struct span bytes, struct policy **ret_policy)
{
	struct source_policy said;
	size_t of_user;

	if (bytes.len == 0) {
		*ret_policy = NULL;
		return 0;
	}
	if (!source_policy_decode(bytes, &said))
		return -EINVAL;
	struct policy *p = find(ps, uid, bytes, &of_user);
	if (p) {
		*ret_policy = policy_share(p);
		return 0;
	}
	if (of_user >= POLICIES_A_USER)
		return -EAGAIN;
	p = malloc(sizeof(*p) + bytes.len);
	if (!p)
		return -ENOMEM;
	*p = (struct policy){.uid = uid, .users = 1, .has_secret = said.secret.len > 0, .len = bytes.len};
	memcpy(p->bytes, bytes.data, bytes.len);
	LIST_INSERT_HEAD(ps, p, link);
	if (policy_has_secret(p))
		hide_memory();
	*ret_policy = p;
	return 0;
}

struct policy *policy_share(struct policy *p)
{
	if (p)
		p->users++;
	return p;
}

void policy_drop(struct policy *p)
{
	if (!p || --p->users > 0)
		return;
	LIST_REMOVE(p, link);
	explicit_bzero(p->bytes, p->len);
	free(p);
}

struct span policy_bytes(const struct policy *p)
{
	return p ? span_of(p->bytes, p->len) : span_of(NULL, 0);
}

static struct source_policy said_in(const struct policy *p)
{
	struct source_policy said = {0};

	if (p)
		(void)source_policy_decode(policy_bytes(p), &said); /* it was checked when it was taken */
	return said;
}

bool policy_trusts_as(const struct policy *a, const struct policy *b)
{
	const struct source_policy one = said_in(a), other = said_in(b);

	return one.tls_verify == other.tls_verify && one.plain_http == other.plain_http &&
	       one.has_certs == other.has_certs && span_eq(one.authorities, other.authorities);
}

bool policy_has_secret(const struct policy *p)
{
	return p && p->has_secret;
}
