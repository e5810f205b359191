/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A lease: what keeps content that no name needs yet, for a pull in progress or for somebody who commits by hand. On
 * disk it is a text file leases/ID, written by commitd, one key=value per line:
 *
 *   for=pull docker.io/library/alpine:3.20    who took it, for people
 *   uid=NUMBER                                the user
 *   boot=HEX
 *   at=SECONDS                                when it was taken, in that boot: seconds since its start
 *   ttl=SECONDS                               how long it lasts after it was last renewed; 0: until it is released
 *   firm=1                                    only its time ends it; otherwise a gc may be told to end it before
 *   content=DIGEST                            keeps this blob
 *   root=DIGEST                               keeps this blob and, if it is a manifest or an index, what it needs
 *
 * The first six come first, in this order, `firm` only if it is so. Lines are only appended, and are durable before
 * they are acknowledged: from a line on that is torn or invalid, nothing was acknowledged, and nothing counts.
 */
#ifndef SLUICE_STORE_LEASE_H
#define SLUICE_STORE_LEASE_H

#include <sys/types.h>

#include "common/base/boot.h"
#include "common/base/buf.h"
#include "common/base/reason.h"
#include "common/oci/digest.h"

#define LEASE_SUFFIX      ".lease"
#define LEASE_NAME_SIZE   (LEASE_ID_MAX + sizeof(LEASE_SUFFIX))
#define LEASE_ID_MAX      140 /* letters, digits and dashes */
#define LEASE_PURPOSE_MAX 480
#define LEASE_FILE_MAX    (16u << 20)         /* bytes; over 100,000 digests */
#define LEASE_BY_HAND_S   3600u               /* the time of that of a 'commitd commit' */
#define LEASE_ASKED_S     (14u * 24u * 3600u) /* of a pull's: as long as its unfinished transfers are kept */

struct lease {
	char purpose[LEASE_PURPOSE_MAX + 1];
	uid_t uid;
	uint8_t boot[BOOT_ID_SIZE];
	uint64_t at_s;
	uint64_t ttl_s;
	bool is_firm;
};

struct lease_hooks {
	/* A digest that it keeps. 0, or the result with which lease_parse() ends. */
	int (*member)(void *self, const struct digest *d, bool is_root);
	void *self;
};

/* Whether it may be an ID; and the name of the file of one. */
bool lease_id_is_valid(struct span id);
void lease_file_name(const char *id, char ret_name[static LEASE_NAME_SIZE]);

/* The ID that the name of a file means. False: it is no lease's. */
bool lease_id_of_file(const char *name, char ret_id[static LEASE_ID_MAX + 1]);

/* Append the first lines of a lease. 0 or -ENOMEM. */
int lease_format(const struct lease *l, struct buf *out);

/* Append the line of a member. 0 or -ENOMEM. */
int lease_format_member(const struct digest *d, bool is_root, struct buf *out);

/* The member that a line (without its end) is about. -EINVAL: none. */
int lease_parse_member(struct span line, struct digest *ret_digest, bool *ret_is_root);

/*
 * Read a lease. `hooks` may be NULL. `ret_whole_len` (may be NULL): how many bytes count. 0; -EINVAL: it does not begin
 * like a lease; or what the hook returned.
 */
int lease_parse(struct span text, struct lease *ret_lease, const struct lease_hooks *hooks, size_t *ret_whole_len);

/* The same for the file of that ID in the directory leases/. -ENOENT; -EFBIG: over LEASE_FILE_MAX; or another -errno. */
int lease_load(int dir_fd, const char *id, struct lease *ret_lease, const struct lease_hooks *hooks,
	       size_t *ret_whole_len);

#endif
