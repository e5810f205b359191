/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/config/terms.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/clock.h"

/* Own */
#include "fetchd/config/certs.h"

static int copy_certificates(struct terms *t)
{
	const struct source_policy *said = &t->said;
	int r = 0;

	if (said->authorities.len > 0) {
		certs_add_system_file(&t->authorities);
		r = buf_append(&t->authorities, said->authorities.data, said->authorities.len);
	}
	if (r == 0 && said->client_cert.len > 0)
		r = buf_append(&t->client_cert, said->client_cert.data, said->client_cert.len);
	if (r == 0 && said->client_key.len > 0) {
		r = buf_reserve(&t->client_key, said->client_key.len);
		if (r == 0)
			r = buf_append(&t->client_key, said->client_key.data, said->client_key.len);
	}
	return r;
}

static int make(struct span bytes, struct terms **ret_terms)
{
	struct terms *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	int r = buf_append(&t->bytes, bytes.data, bytes.len);
	if (r == 0 && !source_policy_decode(buf_span(&t->bytes), &t->said))
		r = -EINVAL;
	if (r == 0)
		r = copy_certificates(t);
	if (r < 0) {
		terms_free(t);
		return r;
	}
	*ret_terms = t;
	return 0;
}

int terms_take(struct terms_table *table, struct span bytes, struct terms **ret_terms)
{
	struct terms *t = NULL;

	if (bytes.len > 0)
		LIST_FOREACH(t, &table->all, link)
			if (span_eq(buf_span(&t->bytes), bytes))
				break;
	if (bytes.len > 0 && !t) {
		int r = make(bytes, &t);
		if (r < 0)
			return r;
		t->number = ++table->last_number;
		LIST_INSERT_HEAD(&table->all, t, link);
	}
	if (t)
		t->users++;
	*ret_terms = t;
	return 0;
}

void terms_drop(struct terms *t)
{
	if (!t)
		return;
	assert(t->users > 0);
	if (--t->users == 0)
		t->idle_ms = clock_mono_ms();
}

struct terms *terms_expired(struct terms_table *table, uint64_t now_ms)
{
	struct terms *t;

	LIST_FOREACH(t, &table->all, link)
		if (t->users == 0 && now_ms - t->idle_ms >= TERMS_KEPT_MS)
			break;
	if (t)
		LIST_REMOVE(t, link);
	return t;
}

void terms_free(struct terms *t)
{
	buf_wipe(&t->bytes);
	buf_wipe(&t->authorities);
	buf_wipe(&t->client_cert);
	buf_wipe(&t->client_key);
	free(t);
}

void terms_fill_tls(const struct terms *t, struct http_tls *tls)
{
	const struct source_policy *said = &t->said;

	if (said->tls_verify != SAID_NOTHING)
		tls->skip_verify = said->tls_verify == SAID_NO;
	if (!said->has_certs)
		return;
	*tls = (struct http_tls){
	    .ca_besides = t->authorities.data,
	    .client_cert_text = t->client_cert.data,
	    .client_key_text = t->client_key.data,
	    .skip_verify = tls->skip_verify,
	};
}

bool terms_allow_ours(const struct terms *t)
{
	return !t || (t->said.login == POLICY_LOGIN_OURS && !source_policy_is_lax(&t->said));
}

bool terms_allow_plain(const struct terms *t)
{
	return t && (t->said.plain_http || t->said.tls_verify == SAID_NO);
}

uint64_t terms_number(const struct terms *t)
{
	return t ? t->number : 0;
}
