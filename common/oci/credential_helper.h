/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Credential helpers in docker's form: the program docker-credential-NAME is run with "get", reads the server's name
 * from stdin, and prints {"Username": ..., "Secret": ...}. No secret is on a command line. fetchd's keeper runs those
 * that its own files name, without waiting (fetchd/auth/helper.h); a command runs its user's own, and waits.
 */
#ifndef SLUICE_OCI_CREDENTIAL_HELPER_H
#define SLUICE_OCI_CREDENTIAL_HELPER_H

#include <stdint.h>
#include <sys/types.h>

#include "common/oci/credentials.h"

#define HELPER_OUTPUT_MAX   (64u << 10) /* bytes */
#define HELPER_TIMEOUT_MS   30000u
#define HELPER_PROGRAM_SIZE (HELPER_NAME_MAX + sizeof("docker-credential-"))

/* With a process group of its own it can be killed with its children; without, it may use our terminal. */
enum helper_group {
	HELPER_OWN_GROUP,
	HELPER_OUR_GROUP,
};

/* A helper that runs. Released by helper_release(), which kills no process. */
struct helper_process {
	char program[HELPER_PROGRAM_SIZE];
	pid_t pid;         /* 0: none, or it is reaped */
	int fd;            /* its stdout, which does not block; -1: none */
	struct buf output; /* wiped */
};

#define HELPER_PROCESS_INIT ((struct helper_process){.fd = -1})

/*
 * Run docker-credential-`name`, found in PATH, for `server`. The texts are borrowed for the call. 0; -errno with a
 * reason, -EINVAL if there is no such program.
 */
int helper_spawn(struct helper_process *p, const char *name, const char *server, enum helper_group group,
		 struct reason *why);

/* Take what it has printed. False: it is over the limit, or cannot be read. The end of it: no more bytes arrive. */
bool helper_take(struct helper_process *p);

/* After its end with this wait status. 0: it printed something; -ENOENT: it has nothing; -EINVAL with a reason. */
int helper_judge(const struct helper_process *p, int status, struct reason *why);

void helper_release(struct helper_process *p);

/*
 * Replace a credential of kind HELPER by what the helper says. 0; -ENOENT: it has none; another -errno with a reason;
 * then it is none. Waits for the helper, which is in our process group and so may ask at our terminal; kills it when the
 * time is up.
 */
int credential_ask_helper(struct credential *c, uint64_t timeout_ms, struct reason *why);

#endif
