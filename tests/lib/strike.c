/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kill a program, or make a call fail, at its Nth system call of some kinds, before the call is made:
 *
 *   strike [-n N] [-a kill|hold|short|ERRNO] [-c CALL,...] [-u DIR] [-l] -r REPORT PROGRAM ARGUMENT...
 *
 *   -n N       act at the Nth counted call of all threads; 0 (default): never
 *   -a ACTION  kill -9 the program; hold the call's thread for ever; make the call write half of its bytes; or make it
 *              fail with this error
 *   -c CALLS   count these calls; "all": every call; default: calls that change something visible to others
 *   -u DIR     count only calls on files below DIR
 *   -l         write a line "call NAME PATH ARGUMENT ARGUMENT..." for each counted call
 *   -r REPORT  gets a line "fired N CALL PATH" for the action, "again CALL PATH" if a descriptor whose sync failed is
 *              synced again, and "total N" at the end, however the program ends
 *
 * The program stops only at these calls (seccomp(2), SECCOMP_RET_TRACE), so it runs at almost full speed. strike ends
 * like the program. For x86-64.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/limits.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

/* Base */
#include "common/base/span.h"

/* Linux's header conflicts with that of the C library. */
struct call_stop { /* struct ptrace_syscall_info of a PTRACE_EVENT_SECCOMP */
	uint8_t op, pad[3];
	uint32_t arch;
	uint64_t ip, sp, nr, args[6];
	uint32_t ret_data;
};
#define GET_CALL_STOP 0x420e /* PTRACE_GET_SYSCALL_INFO */

enum target { /* how a call names its file */
	      TARGET_FD,
	      TARGET_AT,   /* a directory descriptor and a path */
	      TARGET_NONE, /* no file */
};

static const struct call {
	const char *name;
	long nr;
	enum target target;
	bool usual; /* counted by default */
} calls[] = {
    {"write", SYS_write, TARGET_FD, true},
    {"pwrite64", SYS_pwrite64, TARGET_FD, true},
    {"writev", SYS_writev, TARGET_FD, true},
    {"fsync", SYS_fsync, TARGET_FD, true},
    {"fdatasync", SYS_fdatasync, TARGET_FD, true},
    {"ftruncate", SYS_ftruncate, TARGET_FD, true},
    {"fallocate", SYS_fallocate, TARGET_FD, true},
    {"fchmod", SYS_fchmod, TARGET_FD, true},
    {"flock", SYS_flock, TARGET_FD, true},
    {"openat", SYS_openat, TARGET_AT, true},
    {"mkdirat", SYS_mkdirat, TARGET_AT, true},
    {"mkdir", SYS_mkdir, TARGET_NONE, true},
    {"unlinkat", SYS_unlinkat, TARGET_AT, true},
    {"unlink", SYS_unlink, TARGET_NONE, true},
    {"rmdir", SYS_rmdir, TARGET_NONE, true},
    {"linkat", SYS_linkat, TARGET_AT, true},
    {"renameat2", SYS_renameat2, TARGET_AT, true},
    {"renameat", SYS_renameat, TARGET_AT, true},
    {"bind", SYS_bind, TARGET_FD, true},
    {"connect", SYS_connect, TARGET_FD, true},
    {"sendmsg", SYS_sendmsg, TARGET_FD, true},
    {"sendto", SYS_sendto, TARGET_FD, true},
    {"read", SYS_read, TARGET_FD, false},
    {"pread64", SYS_pread64, TARGET_FD, false},
    {"newfstatat", SYS_newfstatat, TARGET_AT, false},
    {"getdents64", SYS_getdents64, TARGET_FD, false},
    {"mmap", SYS_mmap, TARGET_NONE, false},
    {"close", SYS_close, TARGET_FD, false},
};
#define CALLS_LEN (sizeof(calls) / sizeof(calls[0]))

static const struct {
	const char *name;
	int number;
} errors[] = {
    {"EIO", EIO},       {"ENOSPC", ENOSPC}, {"EDQUOT", EDQUOT}, {"EMFILE", EMFILE},
    {"ENOMEM", ENOMEM}, {"EINTR", EINTR},   {"EROFS", EROFS},
};

enum action {
	ACTION_KILL,
	ACTION_HOLD,
	ACTION_SHORT,
	ACTION_FAIL,
};

static struct {
	uint64_t nth;
	enum action action;
	int error;
	const char *only; /* ",write,fsync,", or NULL */
	bool all;
	bool list;
	const char *under;
	FILE *report;
} options;

static struct {
	pid_t pid;
	uint64_t count;
	bool fired;
	pid_t held;      /* the held thread, or 0 */
	int poisoned_fd; /* a descriptor whose sync failed, or -1 */
} victim = {.poisoned_fd = -1};

__attribute__((noreturn)) static void die(const char *what)
{
	(void)fprintf(stderr, "strike: %s: %s\n", what, strerror(errno));
	exit(125);
}

static bool is_asked_for(size_t i)
{
	char word[32];

	if (!options.only)
		return calls[i].usual;
	(void)snprintf(word, sizeof(word), ",%s,", calls[i].name);
	return strstr(options.only, word) != NULL;
}

/* In the child: install a filter that stops only at the selected calls. */
static void filter_calls(void)
{
	struct sock_filter code[CALLS_LEN * 2 + 2] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	unsigned short len = 1;

	for (size_t i = 0; i < CALLS_LEN; i++) {
		bool is_sync = calls[i].nr == SYS_fsync || calls[i].nr == SYS_fdatasync || calls[i].nr == SYS_close;
		if (!is_asked_for(i) && !is_sync)
			continue;
		code[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)calls[i].nr, 0, 1);
		code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRACE);
	}
	uint32_t rest = options.all ? SECCOMP_RET_TRACE : SECCOMP_RET_ALLOW;
	code[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, rest);
	struct sock_fprog program = {.len = len, .filter = code};
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		die("cannot filter system calls");
}

static void start(char **argv)
{
	victim.pid = fork();
	if (victim.pid < 0)
		die("cannot fork");
	if (victim.pid == 0) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0) < 0)
			die("cannot be traced");
		(void)raise(SIGSTOP);
		filter_calls();
		(void)execv(argv[0], argv);
		die(argv[0]);
	}
	int status;
	long follow =
	    PTRACE_O_EXITKILL | PTRACE_O_TRACESECCOMP | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK;
	if (waitpid(victim.pid, &status, 0) < 0 || ptrace(PTRACE_SETOPTIONS, victim.pid, 0, follow) < 0 ||
	    ptrace(PTRACE_CONT, victim.pid, 0, 0) < 0)
		die("cannot trace");
}

/* ── which call this is ── */

static void fd_path(pid_t tid, int fd, char ret_path[static PATH_MAX])
{
	char link[64];

	(void)snprintf(link, sizeof(link), fd == AT_FDCWD ? "/proc/%d/cwd" : "/proc/%d/fd/%d", (int)tid, fd);
	ssize_t len = readlink(link, ret_path, PATH_MAX - 1);
	ret_path[len > 0 ? len : 0] = '\0';
}

static void read_text(pid_t tid, uint64_t at, char *ret_text, size_t room)
{
	union {
		uint64_t number;
		void *address;
	} theirs = {.number = at};
	struct iovec here = {ret_text, room - 1}, there = {theirs.address, room - 1};

	memset(ret_text, 0, room);
	/* A text near the end of a page is read as far as possible. */
	while (there.iov_len > 0 && process_vm_readv(tid, &here, 1, &there, 1, 0) < 0)
		here.iov_len = there.iov_len = there.iov_len / 2;
}

static void call_path(pid_t tid, const struct call *c, const struct call_stop *stop, char ret_path[static PATH_MAX])
{
	char name[256], directory[PATH_MAX];

	ret_path[0] = '\0';
	if (c->target == TARGET_FD)
		fd_path(tid, (int)stop->args[0], ret_path);
	if (c->target != TARGET_AT)
		return;
	read_text(tid, stop->args[1], name, sizeof(name));
	fd_path(tid, (int)stop->args[0], directory);
	if (name[0] == '/')
		(void)snprintf(ret_path, PATH_MAX, "%s", name);
	else if (snprintf(ret_path, PATH_MAX, "%s/%s", directory, name) >= PATH_MAX)
		ret_path[0] = '\0';
}

static bool is_below(const char *path, const char *directory)
{
	size_t len = strlen(directory);
	return strncmp(path, directory, len) == 0 && (path[len] == '/' || path[len] == '\0');
}

/* Whether the call changes something, or is selected by name. Opening an existing file or waking a thread does not. */
static bool counts(const struct call *c, const struct call_stop *stop, const char *path)
{
	if (options.under && !is_below(path, options.under))
		return false;
	if (options.action == ACTION_SHORT && stop->args[2] < 2)
		return false;
	if (options.only)
		return true;
	if (c->nr == SYS_openat)
		return (stop->args[2] & O_CREAT) != 0;
	return !strstr(path, "anon_inode:");
}

/* ── striking ── */

static void alter(pid_t tid, const struct call_stop *stop)
{
	struct user_regs_struct regs;

	if (ptrace(PTRACE_GETREGS, tid, 0, &regs) < 0)
		return; /* it has died */
	if (options.action == ACTION_SHORT) {
		regs.rdx = stop->args[2] / 2;
	} else {
		regs.orig_rax = (unsigned long long)-1; /* the call is not made */
		regs.rax = (unsigned long long)-options.error;
	}
	(void)ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

static void strike(pid_t tid, const struct call *c, const struct call_stop *stop, const char *path)
{
	victim.fired = true;
	(void)fprintf(options.report, "fired %llu %s %s\n", (unsigned long long)victim.count, c->name, path);
	(void)fflush(options.report);
	if (options.action == ACTION_KILL) {
		(void)kill(victim.pid, SIGKILL);
		return;
	}
	if (options.action == ACTION_HOLD) {
		victim.held = tid;
		return;
	}
	alter(tid, stop);
	if (c->nr == SYS_fsync || c->nr == SYS_fdatasync)
		victim.poisoned_fd = (int)stop->args[0];
}

/* A second sync would succeed and prove nothing. */
static void watch_poisoned(const struct call *c, const struct call_stop *stop, const char *path)
{
	if (victim.poisoned_fd < 0 || (int)stop->args[0] != victim.poisoned_fd)
		return;
	if (c->nr == SYS_close)
		victim.poisoned_fd = -1;
	else if (c->nr == SYS_fsync || c->nr == SYS_fdatasync)
		(void)fprintf(options.report, "again %s %s\n", c->name, path);
}

static bool at_counted(pid_t tid, const struct call *c, const struct call_stop *stop, char ret_path[static PATH_MAX])
{
	call_path(tid, c, stop, ret_path);
	watch_poisoned(c, stop, ret_path);
	if (options.all)
		return true;
	return c->nr != SYS_close && is_asked_for((size_t)(c - calls)) && counts(c, stop, ret_path);
}

/* The target of a rename or link follows its source. */
static void list(pid_t tid, const struct call *c, const struct call_stop *stop, const char *path)
{
	char name[256] = "", directory[PATH_MAX] = "";

	if (c->nr == SYS_renameat || c->nr == SYS_renameat2 || c->nr == SYS_linkat) {
		fd_path(tid, (int)stop->args[2], directory);
		read_text(tid, stop->args[3], name, sizeof(name));
	}
	(void)fprintf(options.report, "call %s %s", c->name, path);
	if (name[0] != '\0')
		(void)fprintf(options.report, " %s/%s\n", directory, name);
	else
		(void)fprintf(options.report, " %llu %llu %llu\n", (unsigned long long)stop->args[1],
			      (unsigned long long)stop->args[2], (unsigned long long)stop->args[3]);
}

static void at_call(pid_t tid)
{
	struct call_stop stop;
	char path[PATH_MAX] = "", name[32];
	const struct call *c = calls;

	if (ptrace(GET_CALL_STOP, tid, sizeof(stop), &stop) <= 0)
		return;
	while (c < calls + CALLS_LEN && c->nr != (long)stop.nr)
		c++;
	(void)snprintf(name, sizeof(name), "#%llu", (unsigned long long)stop.nr);
	struct call other = {name, (long)stop.nr, TARGET_NONE, false};
	bool counted = c < calls + CALLS_LEN ? at_counted(tid, c, &stop, path) : options.all;
	if (!counted)
		return;
	if (options.list)
		list(tid, c < calls + CALLS_LEN ? c : &other, &stop, path);
	if (++victim.count == options.nth)
		strike(tid, c < calls + CALLS_LEN ? c : &other, &stop, path);
}

/* Run until the program has ended. Returns its wait(2) status. */
static int follow(void)
{
	int status;

	for (;;) {
		pid_t tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			die("lost the program");
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			if (tid == victim.pid)
				return status;
			continue;
		}
		int sig = WSTOPSIG(status);
		if (status >> 8 == (SIGTRAP | PTRACE_EVENT_SECCOMP << 8))
			at_call(tid);
		/* Events and the first stop of a new thread are ours; every other signal goes to the program. */
		bool ours = sig == SIGTRAP || sig == SIGSTOP;
		if (tid != victim.held)
			(void)ptrace(PTRACE_CONT, tid, 0, ours ? 0 : sig);
	}
}

static void pass_on(int sig)
{
	if (victim.pid > 0)
		(void)kill(victim.pid, sig);
}

/* ── the command line ── */

__attribute__((noreturn)) static void usage(void)
{
	(void)fputs(
	    "usage: strike [-n N] [-a kill|hold|short|ERRNO] [-c CALL,...] [-u DIR] [-l] -r REPORT PROGRAM...\n",
	    stderr);
	exit(64);
}

static void parse_action(const char *word)
{
	options.action = strcmp(word, "kill") == 0    ? ACTION_KILL
			 : strcmp(word, "hold") == 0  ? ACTION_HOLD
			 : strcmp(word, "short") == 0 ? ACTION_SHORT
						      : ACTION_FAIL;
	for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
		if (strcmp(errors[i].name, word) == 0)
			options.error = errors[i].number;
	if (options.action == ACTION_FAIL && options.error == 0)
		usage();
}

static void parse_option(int letter, const char *value)
{
	static char only[512];
	char *end = NULL;

	switch (letter) {
	case 'n':
		options.nth = strtoull(value, &end, 10);
		if (*end != '\0')
			usage();
		return;
	case 'a':
		parse_action(value);
		return;
	case 'c':
		(void)snprintf(only, sizeof(only), ",%s,", value);
		options.only = only;
		options.all = strcmp(value, "all") == 0;
		return;
	case 'u':
		options.under = value;
		return;
	case 'l':
		options.list = true;
		return;
	case 'r':
		options.report = fopen(value, "ae");
		if (!options.report)
			die(value);
		return;
	default:
		usage();
	}
}

int main(int argc, char **argv)
{
	int letter;

	while ((letter = getopt(argc, argv, "+n:a:c:u:lr:")) != -1)
		parse_option(letter, optarg);
	if (optind == argc || !options.report)
		usage();
	(void)signal(SIGTERM, pass_on);
	(void)signal(SIGINT, pass_on);
	start(argv + optind);
	int status = follow();
	(void)fprintf(options.report, "total %llu\n", (unsigned long long)victim.count);
	(void)fclose(options.report);
	if (WIFSIGNALED(status)) {
		(void)signal(WTERMSIG(status), SIG_DFL);
		(void)raise(WTERMSIG(status));
	}
	return WEXITSTATUS(status);
}
