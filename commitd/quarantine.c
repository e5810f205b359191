/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/quarantine.h"

/* System */
#include <errno.h>

/* Base */
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

/* Something damaged that was there before makes room. */
static int remove_former(int quarantine_fd, const char *hex)
{
	int r = FAILPOINT(NAME, "quarantine.former", name_remove_at(quarantine_fd, hex));

	return r == -ENOTEMPTY ? dir_remove_at(quarantine_fd, hex) : r;
}

int quarantine_move(struct layout *l, const struct digest *d)
{
	char hex[DIGEST_TEXT_SIZE];
	int blobs_fd = layout_blobs_fd(l, d->alg), quarantine_fd = layout_quarantine_fd(l);

	digest_format_hex(d, hex);
	int r = remove_former(quarantine_fd, hex);
	if (r == 0)
		r = FAILPOINT(NAME, "quarantine.move", durable_move_at(blobs_fd, hex, quarantine_fd, hex));
	/* First where it is now, so that it has a name in every state after a power cut. */
	if (r == 0)
		r = FAILPOINT(SYNC, "quarantine.sync", durable_sync_dir(quarantine_fd));
	if (r == 0)
		r = FAILPOINT(SYNC, "quarantine.sync-source", durable_sync_dir(blobs_fd));
	return r;
}
