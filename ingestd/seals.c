/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/seals.h"

/* System */
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/file.h"

struct seals {
	struct transfers *transfers;
	struct link *link;
};

void seal_of(const struct ingest *in, char digest_text[static DIGEST_TEXT_SIZE], struct message *ret_seal)
{
	struct stat st = {0};

	if (!in->is_moved && fstat(in->data_fd, &st) < 0)
		st = (struct stat){0}; /* then commitd will not find what was sealed, and we seal again */
	digest_format(&in->record.sealed, digest_text);
	*ret_seal = (struct message){
	    .type = MSG_SEALED,
	    .ref = span_str(in->record.ref),
	    .digest = span_str(digest_text),
	    .size = in->record.size,
	    .provenance = in->provenance,
	    .ino = (uint64_t)st.st_ino,
	    .mtime_ns = file_mtime_ns(&st),
	};
}

static int send_seal(struct seals *s, struct transfer *t)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message m;

	seal_of(t->in, digest, &m);
	int r = link_send(s->link, &m);
	if (r == 0)
		transfer_enter(t, PHASE_SEAL_SENT);
	return r;
}

void seals_flush(struct seals *s)
{
	for (size_t i = 0; s->link && i < s->transfers->len; i++) {
		struct transfer *t = s->transfers->by_ref[i];
		if (t->phase == PHASE_SEAL_DUE && send_seal(s, t) < 0)
			return;
	}
}

void seals_renew(struct seals *s)
{
	for (size_t i = 0; i < s->transfers->len; i++)
		if (s->transfers->by_ref[i]->phase == PHASE_SEAL_SENT)
			transfer_enter(s->transfers->by_ref[i], PHASE_SEAL_DUE);
}

void seals_use(struct seals *s, struct link *link)
{
	s->link = link;
}

int seals_new(struct transfers *transfers, struct seals **ret_seals)
{
	struct seals *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->transfers = transfers;
	*ret_seals = s;
	return 0;
}

void seals_free(struct seals *s)
{
	free(s);
}
