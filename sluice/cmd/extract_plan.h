/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which files of an artifact are put where, decided and checked before anything is written.
 */
#ifndef SLUICE_SLUICE_CMD_EXTRACT_PLAN_H
#define SLUICE_SLUICE_CMD_EXTRACT_PLAN_H

/* OCI */
#include "common/oci/manifest.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/find.h"
#include "sluice/run/titles.h"

struct plan {
	struct descriptor artifact; /* its manifest: for an index, that of this machine's platform */
	struct manifest manifest;
	struct json_t *root;                  /* owned; titles are borrowed from it */
	char (*untitled)[TITLE_OF_NONE_SIZE]; /* owned; the names of those without a title */
	struct titled *files;                 /* owned; arranged; the number is that of the manifest's entry */
	size_t len;
	uint64_t bytes; /* of all files */
};

struct plan_order {
	struct layout *layout;
	const struct names *names;
	const struct found *found;
	const struct opt_texts *titles, *digests; /* the selection; none: all */
};

/*
 * Read the artifact and check the titles of what is selected. Layers that the registry did not have are left out with a
 * warning. 0, or an exit code with a reason: 64 it is an image; 65 a title is none, or two collide; 66 it, or a file of it,
 * is not stored, or a selection fits none. Release it in any case.
 */
int plan_make(const struct plan_order *order, struct plan *ret_plan, struct reason *why);
void plan_release(struct plan *p);

static inline const struct descriptor *plan_content(const struct plan *p, size_t i)
{
	return &p->manifest.entries[p->files[i].number];
}

#endif
