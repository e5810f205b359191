/*
 * The skeleton of all three daemons: process set-up, the one-instance lock, the loop, signals, a clean end; and what a
 * service manager wants to hear of it (notify.h): ready, reloading, alive, stopping.
 */
#ifndef SLUICE_BASE_DAEMON_H
#define SLUICE_BASE_DAEMON_H

#include "common/base/reason.h"

struct loop;

struct daemon_hooks {
	/* Bind, recover, begin. Runs once, before the loop. 0, or an exit code of sysexits(3) after logging why. */
	int (*start)(void *self, struct loop *loop);
	/* SIGHUP: read the configuration again. May be NULL. */
	void (*reload)(void *self);
	/* SIGTERM or SIGINT: begin to stop (flush checkpoints); call daemon_end() when that is done. */
	void (*stop)(void *self);
	/* After the loop, whatever happened: give everything back. Also after a failed start, not without one. */
	void (*release)(void *self);
	/* What it does now, in a few words: told with each sign of life to a manager that wants these. May be NULL. */
	void (*describe)(void *self, struct reason *ret_text);
};

/*
 * What every program of ours does first: malloc settings that keep large messages out of mmap and all threads in one
 * arena, SIGPIPE ignored, descriptors 0 to 2 open, umask 022, logging under `program`. Started under a umask
 * that lets the group write (systemd's UMask=0002), directories stay writable to it: so ingestd and commitd can share
 * them as two users.
 */
void process_init(const char *program);

/*
 * Make the runtime directory if needed (see runtime_dir_make), take `program`.lock in it, and run until stopped.
 * Returns the exit code: 0 after a clean stop, 75 when another instance holds the lock.
 */
int daemon_run(const char *program, const char *runtime_dir, const struct daemon_hooks *hooks, void *self);

/* Leave the loop after this turn; daemon_run() returns 0. */
void daemon_end(struct loop *loop);

/*
 * Open the runtime directory, making it with mode 0750 if it is not there (parents must exist). Refused: a path that is
 * too long for a socket in it (-ENAMETOOLONG), a directory of another user than us or root, or one that others may
 * write (-EPERM).
 */
int runtime_dir_make(const char *path, int *ret_fd, struct reason *why);

/* The longest path of a runtime directory: sun_path is 107 characters, the longest name below it, "/pipes/receipts",
 * is 15. */
#define RUNTIME_DIR_MAX 92

/*
 * The exit code of sysexits(3) that says -errno best, for a daemon or a tool that could not set itself up or write:
 * 66 ENOENT; 71 ENOMEM, EMFILE, ENFILE; 73 EROFS, EACCES, ENOTDIR, EEXIST; 75 ENOSPC, EDQUOT, EAGAIN, ETIMEDOUT, EINTR;
 * 77 EPERM; 78 ENAMETOOLONG, EINVAL, ELOOP, EXDEV; 74 EIO and all others.
 */
int exit_code_of(int r);

#endif
