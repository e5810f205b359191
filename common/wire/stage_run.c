/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/stage_run.h"

/* System */
#include <errno.h>
#include <sysexits.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/exit.h"
#include "common/base/log.h"

int stage_run(enum stage_id stage, const char *runtime_dir, const struct daemon_hooks *hooks, void *self)
{
	AUTO_FD lock_fd = -1;
	struct reason why;

	int r = stage_claim(runtime_dir, stage, &lock_fd, &why);
	if (r < 0) {
		log_error("%s", why.text);
		return r == -EWOULDBLOCK ? EX_TEMPFAIL : exit_code_of(r);
	}
	return daemon_run(hooks, self);
}
