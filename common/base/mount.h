/* SPDX-License-Identifier: Apache-2.0 */
/* The mount that a file is on (proc(5), mountinfo). */
#ifndef SLUICE_BASE_MOUNT_H
#define SLUICE_BASE_MOUNT_H

#define MOUNT_TYPE_SIZE 33 /* bytes, with the terminator */

/* The type of the file system of `fd`, as mount(8) calls it: "ext4", "fuse.sshfs"; "?" if unknown. Reads /proc. */
void mount_type(int fd, char ret_type[static MOUNT_TYPE_SIZE]);

#endif
