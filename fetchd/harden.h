/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fetchd gives up before it reads a password or opens a connection. Programs that it starts (credential helpers) inherit
 * the limit on core files and the refused system calls.
 */
#ifndef SLUICE_FETCHD_HARDEN_H
#define SLUICE_FETCHD_HARDEN_H

/*
 * No core file of this process is written, and no other process of the same user can read its memory or trace it. 0 or
 * -errno.
 */
int harden_memory(void);

/*
 * From now on the system calls that neither fetchd nor a helper needs fail with EPERM: those that look into other processes
 * or change mounts, namespaces, keys, modules or clocks; and exec gives no new privileges. Files and exec are not
 * restricted, because helpers need both; the units do that. 0, or -errno: the kernel has no seccomp, or does not permit it.
 */
int harden_calls(void);

#endif
