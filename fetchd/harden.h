/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fetchd gives up before it reads a password or talks to anybody. Programs that it starts (credential helpers) inherit
 * the limit on core files and nothing else.
 */
#ifndef SLUICE_FETCHD_HARDEN_H
#define SLUICE_FETCHD_HARDEN_H

/*
 * Memory that holds passwords is in no core file, and no other process of the same user can read it or trace this one. 0 or
 * -errno.
 */
int harden_memory(void);

#endif
