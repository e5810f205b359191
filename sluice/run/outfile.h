/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Content of the store as a file of the user's, elsewhere: one that shares its blocks (a reflink), a copy, or a symbolic
 * link. The file is whole or absent, also after a power cut: it is made beside, under a hidden name of its own that the
 * next attempt takes over, synced, and renamed. What had the name before is replaced by the rename and by nothing else; a
 * link is never followed.
 */
#ifndef SLUICE_SLUICE_RUN_OUTFILE_H
#define SLUICE_SLUICE_RUN_OUTFILE_H

/* OCI */
#include "common/oci/digest.h"
#include "common/store/layout.h"

enum outfile_link {
	OUTFILE_AUTO, /* a reflink, else a copy of at most OUTFILE_COPIED_MAX bytes */
	OUTFILE_REFLINK,
	OUTFILE_COPY,
	OUTFILE_SYMLINK,
};

#define OUTFILE_COPIED_MAX (1ull << 30)    /* what is larger is copied only if that is asked for */
#define OUTFILE_BEAT_BYTES (4u << 20)      /* of a copy */
#define OUTFILE_HIDDEN     ".sluice-part-" /* a hidden name begins with it */

/* "auto", "reflink", "copy", "symlink", NULL. */
extern const char *const outfile_link_names[];

struct outfile {
	struct layout *layout;
	const struct digest *digest;
	uint64_t size; /* as described, or SIZE_UNKNOWN */
	enum outfile_link link;
	/* Called now and then during a copy, about every OUTFILE_BEAT_BYTES; may be NULL. */
	void (*beat)(void *self);
	void *self;
};

/*
 * Put a stored blob at `name` in a directory, with the mode that the umask gives. A copy is hashed on the way, and wrong
 * bytes get no name; for a reflink or a link, nothing is read. 0: `ret_how` says how, and all but the name is durable; sync
 * the directory. Or an exit code with a reason, and nothing has changed: 66 it is not stored; 65 it is damaged, with its
 * path; 64 too large to be copied unasked, or a reflink is impossible; 73 a directory has the name; 75 no space, or another
 * process is putting a file there; EXIT_INTERRUPTED; others by the errno. Blocks for as long as it takes.
 */
int outfile_put(const struct outfile *o, int dir_fd, const char *name, enum outfile_link *ret_how, struct reason *why);

/*
 * Whether files in a directory can share blocks with this blob: tried with a hidden file. False also if the blob is not
 * stored, or nothing can be written there.
 */
bool outfile_can_reflink(struct layout *l, const struct digest *d, int dir_fd);

/* Whether a directory takes names that differ in case for one. Tried with a hidden file; false also if none can be made. */
bool outfile_ignores_case(int dir_fd);

/* The absolute path of a blob. 0 or -ENOMEM. */
int outfile_blob_path(const struct layout *l, const struct digest *d, struct buf *out);

#endif
