/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which boot of the machine this is: the page cache outlives a process, but not a boot.
 */
#ifndef SLUICE_BASE_BOOT_H
#define SLUICE_BASE_BOOT_H

#include <stdint.h>

#define BOOT_ID_SIZE 16 /* bytes; a UUID */

/*
 * The id of this boot: from `given` (systemd's %b, 32 hex digits, or a UUID with dashes) unless that is NULL or empty,
 * else from /proc/sys/kernel/random/boot_id. 0, -EINVAL when `given` is neither form, or -errno.
 */
int boot_id_read(const char *given, uint8_t ret_id[static BOOT_ID_SIZE]);

#endif
