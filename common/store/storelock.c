/* SPDX-License-Identifier: Apache-2.0 */
#include "common/store/storelock.h"

/* System */
#include <assert.h>
#include <errno.h>
#include <string.h>

/* Base */
#include "common/base/lock.h"

int storelock_useless(const struct layout *l, struct reason *why)
{
	reason_set(why,
		   "file locks (flock) do nothing on the file system of '%s', so two sets of stages would damage each "
		   "other's transfers: put the store on a local disk, or mount it with locks",
		   layout_path(l));
	return -EOPNOTSUPP;
}

int storelock_take(const struct layout *l, enum layout_role role, const char *program, int *ret_fd, struct reason *why)
{
	struct reason holder;
	assert(role != LAYOUT_READER);
	bool is_ingester = role == LAYOUT_INGESTER;
	int dir_fd = is_ingester ? layout_ingest_fd(l) : layout_commit_fd(l);
	int r = lock_take_at(dir_fd, INGEST_LOCK, LOCK_EXCLUSIVE, program, ret_fd, &holder);
	if (r == -EWOULDBLOCK)
		reason_set(why, "the store '%s' is already served by %s", layout_path(l), holder.text);
	else if (r == -EOPNOTSUPP)
		return storelock_useless(l, why);
	else if (r < 0)
		reason_set(why, "cannot lock '%s/%s/" INGEST_LOCK "': %s", layout_path(l),
			   is_ingester ? LAYOUT_INGEST : LAYOUT_COMMIT, strerror(-r));
	return r;
}

int storelock_check(const struct layout *l, struct reason *why)
{
	return lock_works_at(layout_root_fd(l), LAYOUT_FILE) == -EOPNOTSUPP ? storelock_useless(l, why) : 0;
}
