/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/exit.h"

/* System */
#include <errno.h>
#include <sysexits.h>

int exit_code_of(int r)
{
	switch (-r) {
	case 0:
		return EX_OK;
	case ENOENT:
		return EX_NOINPUT;
	case EPERM:
		return EX_NOPERM;
	case EROFS:
	case EACCES:
	case ENOTDIR:
	case EEXIST:
		return EX_CANTCREAT;
	case ENOSPC:
	case EDQUOT:
	case EAGAIN:
	case ETIMEDOUT:
	case EINTR:
		return EX_TEMPFAIL;
	case ENAMETOOLONG:
	case EINVAL:
	case ELOOP:
	case EXDEV:
	case EOPNOTSUPP:
		return EX_CONFIG;
	case EBADMSG:
		return EX_DATAERR;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
		return EX_OSERR;
	default:
		return EX_IOERR;
	}
}
