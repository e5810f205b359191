/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/output.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/durable.h"
#include "common/base/exit.h"
#include "common/base/failpoint.h"

/* Open the directory of a path, which may be a symbolic link; `ret_name` is the last part of the path, a view. */
static int open_parent(const char *path, int *ret_fd, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *parent = !slash          ? strdup(".")
				 : slash == path ? strdup("/")
						 : strndup(path, (size_t)(slash - path));

	if (!parent)
		return -ENOMEM;
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	*ret_name = slash ? slash + 1 : path;
	return 0;
}

static int refuse(const char *path, int r, struct reason *why)
{
	reason_set(why, "cannot write '%s': %s", path, strerror(-r));
	return r == -ENOENT || r == -EISDIR ? EX_CANTCREAT : exit_code_of(r);
}

static bool is_directory(int dir_fd, const char *name)
{
	struct stat st;

	return *name == '\0' || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
	       (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode));
}

int output_check(const char *path, struct reason *why)
{
	AUTO_FD dir_fd = -1;
	const char *name;
	int r = open_parent(path, &dir_fd, &name);

	if (r == 0 && is_directory(dir_fd, name))
		r = -EISDIR;
	if (r == 0 && faccessat(dir_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		r = -errno;
	return r < 0 ? refuse(path, r, why) : 0;
}

int output_put(struct layout *l, const struct digest *d, uint64_t size, const char *path, enum outfile_link *ret_how,
	       struct reason *why)
{
	AUTO_FD dir_fd = -1;
	const char *name;
	int r = open_parent(path, &dir_fd, &name);

	if (r < 0)
		return refuse(path, r, why);
	const struct outfile o = {
	    .layout = l,
	    .digest = d,
	    .size = size,
	    .link = outfile_can_reflink(l, d, dir_fd) ? OUTFILE_REFLINK : OUTFILE_COPY,
	};
	int code = outfile_put(&o, dir_fd, name, ret_how, why);
	if (code != 0)
		return code;
	r = FAILPOINT(SYNC, "output.sync", durable_sync_dir(dir_fd));
	return r < 0 ? refuse(path, r, why) : 0;
}
