/* SPDX-License-Identifier: Apache-2.0 */
/* What `sluice status` shows about a transfer, from ingestd or, if none runs, from the store. */
#ifndef SLUICE_SLUICE_SHOW_STATUS_H
#define SLUICE_SLUICE_SHOW_STATUS_H

/* OCI */
#include "common/oci/transfer.h"
#include "common/store/layout.h"

/* Wire */
#include "common/wire/message.h"

struct status {
	char ref[REF_MAX + 1];
	enum transfer_state state;
	uint64_t offset;
	uint64_t total;                /* or SIZE_UNKNOWN */
	char digest[DIGEST_TEXT_SIZE]; /* of the bytes so far; may be empty */
	uint64_t rate;
	uint64_t started_s;
	uint64_t updated_s;
	uint64_t until_s;
	uint64_t attempts;
	uint64_t rehashed;
	char media_type[MEDIA_TYPE_MAX + 1];
	enum fail_class fail_class;
	char text[TEXT_MAX + 1]; /* what it waits for or why it failed; may be empty */
};

struct status_list {
	struct status *rows; /* owned; in the byte order of the refs */
	size_t len, room;
};

/* 0 or -ENOMEM. */
int status_list_add(struct status_list *list, const struct status *s);
void status_list_release(struct status_list *list);

/* From a MSG_RECORD. */
void status_of_message(const struct message *m, struct status *ret_status);

/*
 * The object that `status` and `events` show, without what is unknown: a new one, which the caller owns (NULL: out of
 * memory), or added to an existing object.
 */
struct json_t;
struct json_t *status_json(const struct status *s);
void status_json_into(const struct status *s, struct json_t *object);

/*
 * From the files in ingest/. -ENOENT: no such ingest. Else -errno with a reason; -EBADMSG: it has no valid record.
 */
int status_of_store(struct layout *l, struct span ref, struct status *ret_status, struct reason *why);

/* Append all of them, except those that cannot be read: ingestd reports these when it starts. */
int status_list_of_store(struct layout *l, struct status_list *list);

#endif
