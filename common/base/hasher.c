/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/hasher.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* OpenSSL: the low-level contexts, see the header */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <openssl/sha.h>

struct hasher {
	enum hash_alg alg;
	union {
		SHA256_CTX sha256;
		SHA512_CTX sha512;
	} ctx;
};

int hasher_new(enum hash_alg alg, struct hasher **ret_hasher)
{
	assert(alg == HASH_SHA256 || alg == HASH_SHA512);
	struct hasher *h = calloc(1, sizeof *h);
	if (!h)
		return -ENOMEM;
	h->alg = alg;
	hasher_reset(h);
	*ret_hasher = h;
	return 0;
}

void hasher_free(struct hasher *h)
{
	free(h);
}

void hasher_reset(struct hasher *h)
{
	if (h->alg == HASH_SHA256)
		(void)SHA256_Init(&h->ctx.sha256);
	else
		(void)SHA512_Init(&h->ctx.sha512);
}

void hasher_update(struct hasher *h, const void *data, size_t len)
{
	if (len == 0)
		return;
	if (h->alg == HASH_SHA256)
		(void)SHA256_Update(&h->ctx.sha256, data, len);
	else
		(void)SHA512_Update(&h->ctx.sha512, data, len);
}

void hasher_digest(const struct hasher *h, uint8_t ret_digest[static HASH_MAX_BYTES])
{
	/* Finishing pads the state, so a copy is finished. */
	struct hasher copy = *h;
	if (copy.alg == HASH_SHA256)
		(void)SHA256_Final(ret_digest, &copy.ctx.sha256);
	else
		(void)SHA512_Final(ret_digest, &copy.ctx.sha512);
}

static void save_sha256(const SHA256_CTX *c, struct hash_state *s)
{
	for (size_t i = 0; i < HASH_STATE_WORDS; i++)
		s->words[i] = c->h[i];
	s->total_bytes = ((uint64_t)c->Nh << 32 | c->Nl) / 8;
	memcpy(s->partial, c->data, c->num);
}

static void save_sha512(const SHA512_CTX *c, struct hash_state *s)
{
	for (size_t i = 0; i < HASH_STATE_WORDS; i++)
		s->words[i] = c->h[i];
	s->total_bytes = c->Nh << 61 | c->Nl >> 3;
	memcpy(s->partial, c->u.p, c->num);
}

void hasher_save(const struct hasher *h, struct hash_state *ret_state)
{
	*ret_state = (struct hash_state){.alg = h->alg};
	if (h->alg == HASH_SHA256)
		save_sha256(&h->ctx.sha256, ret_state);
	else
		save_sha512(&h->ctx.sha512, ret_state);
}

/* OpenSSL counts bits, in two words. */
static void restore_sha256(SHA256_CTX *c, const struct hash_state *s)
{
	(void)SHA256_Init(c);
	for (size_t i = 0; i < HASH_STATE_WORDS; i++)
		c->h[i] = (SHA_LONG)s->words[i];
	c->Nl = (SHA_LONG)(s->total_bytes << 3);
	c->Nh = (SHA_LONG)(s->total_bytes >> 29);
	c->num = (unsigned)(s->total_bytes % SHA256_CBLOCK);
	memcpy(c->data, s->partial, c->num);
}

static void restore_sha512(SHA512_CTX *c, const struct hash_state *s)
{
	(void)SHA512_Init(c);
	for (size_t i = 0; i < HASH_STATE_WORDS; i++)
		c->h[i] = s->words[i];
	c->Nl = s->total_bytes << 3;
	c->Nh = s->total_bytes >> 61;
	c->num = (unsigned)(s->total_bytes % SHA512_CBLOCK);
	memcpy(c->u.p, s->partial, c->num);
}

int hasher_restore(struct hasher *h, const struct hash_state *state)
{
	if (state->alg != h->alg)
		return -EINVAL;
	if (h->alg == HASH_SHA256)
		restore_sha256(&h->ctx.sha256, state);
	else
		restore_sha512(&h->ctx.sha512, state);
	return 0;
}

void hash_bytes(enum hash_alg alg, const void *data, size_t len, uint8_t ret_digest[static HASH_MAX_BYTES])
{
	struct hasher h = {.alg = alg};
	assert(alg == HASH_SHA256 || alg == HASH_SHA512);
	hasher_reset(&h);
	hasher_update(&h, data, len);
	hasher_digest(&h, ret_digest);
}
