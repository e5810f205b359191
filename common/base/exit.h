/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exit codes, those of sysexits(3).
 */
#ifndef SLUICE_BASE_EXIT_H
#define SLUICE_BASE_EXIT_H

/*
 * The exit code for an -errno with which a daemon or a tool could not start or write: 0; 65 EBADMSG; 66 ENOENT; 71
 * ENOMEM, EMFILE, ENFILE; 73 EROFS, EACCES, ENOTDIR, EEXIST; 75 ENOSPC, EDQUOT, EAGAIN, ETIMEDOUT, EINTR; 77 EPERM; 78
 * ENAMETOOLONG, EINVAL, ELOOP, EXDEV; 74 EIO and all others.
 */
int exit_code_of(int r);

#endif
