/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/harden.h"

/* System */
#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* Either is enough against a core file of our own; the limit also holds for what we start. */
int harden_memory(void)
{
	static const struct rlimit none = {0, 0};
	if (setrlimit(RLIMIT_CORE, &none) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return 0;
}
