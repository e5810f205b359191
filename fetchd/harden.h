/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What fetchd gives up before it opens a connection, each as far as the kernel has it. The process that it starts
 * before (auth/keeper.h), and the programs which that starts, inherit the limit on core files and a filter of their
 * own.
 */
#ifndef SLUICE_FETCHD_HARDEN_H
#define SLUICE_FETCHD_HARDEN_H

#include <stddef.h>

enum harden_exec {
	HARDEN_MAY_EXEC, /* it starts programs, which are restricted likewise */
	HARDEN_NO_EXEC,
};

/*
 * From now on the system calls that neither fetchd nor a credential helper needs fail with EPERM: those that look into
 * other processes, change mounts, namespaces, keys, modules or clocks, or type into a terminal; clone3(2) fails with
 * ENOSYS; and exec gives no new privileges, or fails. 0, or -errno: the kernel has no seccomp, or does not permit it.
 */
int harden_calls(enum harden_exec exec);

/*
 * From now on nothing changes the owner, mode, times, attributes or, by its path, the length of a file: such calls fail
 * with EPERM. Otherwise as above.
 */
int harden_changes(void);

/*
 * From now on this thread, and what it starts, can open no file but for reading, and only these and what lies below
 * them (Landlock); it can change no directory and execute nothing. What is open stays so, and sockets can be connected
 * to. Call it before there are threads. Those that are not there are passed over. 0, or -errno: the kernel has no
 * Landlock or does not permit it, or the program is built with a sanitizer, which needs files.
 */
int harden_files(const char *const *readable, size_t len);

#endif
