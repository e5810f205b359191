/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/harden.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"

/* LeakSanitizer stops the threads of its own process by ptrace, and sanitizers read /proc and write reports. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

static const char *const refused[] = {
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "userfaultfd",
    "perf_event_open",
    "bpf",
    "mount",
    "umount",
    "umount2",
    "pivot_root",
    "chroot",
    "move_mount",
    "open_tree",
    "open_tree_attr",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "setns",
    "unshare",
    "swapon",
    "swapoff",
    "quotactl",
    "quotactl_fd",
    "acct",
    "add_key",
    "request_key",
    "keyctl",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "settimeofday",
    "stime",
    "clock_settime",
    "clock_settime64",
    "clock_adjtime",
    "clock_adjtime64",
    "adjtimex",
    "iopl",
    "ioperm",
    "modify_ldt",
    "syslog",
    "sethostname",
    "setdomainname",
    "vhangup",
    "name_to_handle_at",
    "open_by_handle_at",
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "lookup_dcookie",
    "nfsservctl",
};

/* Landlock knows nothing of these, and of the first two only since Linux 6.2. */
static const char *const changing[] = {
    "truncate",  "truncate64", "chmod",      "fchmod",      "fchmodat",         "fchmodat2",    "chown",
    "chown32",   "fchown",     "fchown32",   "fchownat",    "lchown",           "lchown32",     "setxattr",
    "lsetxattr", "fsetxattr",  "setxattrat", "removexattr", "lremovexattr",     "fremovexattr", "removexattrat",
    "utime",     "utimes",     "futimesat",  "utimensat",   "utimensat_time64", "file_setattr",
};

/* To type into a terminal, whose shell would execute it; to change the attributes of a file that is open for reading. */
static const unsigned refused_ioctls[] = {TIOCSTI, TIOCLINUX, FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR};

/* Each kind of namespace. clone(2) has none of time: its flag would be part of the signal. */
static const unsigned refused_clones[] = {CLONE_NEWUSER, CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
					  CLONE_NEWIPC,  CLONE_NEWPID, CLONE_NEWNET};

/* Skip what this processor does not have or this version of libseccomp does not know. */
static int refuse(scmp_filter_ctx filter, uint32_t how, const char *name)
{
	int call = seccomp_syscall_resolve_name(name);
	int r = call != __NR_SCMP_ERROR ? seccomp_rule_add(filter, how, call, 0) : 0;
	return r == -EDOM ? 0 : r;
}

static int refuse_all(scmp_filter_ctx filter, const char *const *names, size_t len)
{
	int r = 0;
	for (size_t i = 0; i < len && r == 0; i++)
		r = refuse(filter, SCMP_ACT_ERRNO(EPERM), names[i]);
	return r;
}

/* The kernel ignores the upper half of an ioctl's number, and a filter sees it. */
static int refuse_some(scmp_filter_ctx filter)
{
	int r = 0;
	for (size_t i = 0; i < sizeof(refused_ioctls) / sizeof(refused_ioctls[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(ioctl), 1,
				     SCMP_A1(SCMP_CMP_MASKED_EQ, UINT32_MAX, refused_ioctls[i]));
	for (size_t i = 0; i < sizeof(refused_clones) / sizeof(refused_clones[0]) && r == 0; i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
				     SCMP_A0(SCMP_CMP_MASKED_EQ, refused_clones[i], refused_clones[i]));
	/* A filter cannot see its flags. This error makes libraries use clone(2). */
	return r < 0 ? r : refuse(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3");
}

static int refuse_odd(scmp_filter_ctx filter, bool may_exec)
{
	static const char *const exec[] = {"execve", "execveat"};
	size_t first = IS_SANITIZED ? 1 : 0;
	int r = refuse_all(filter, refused + first, sizeof(refused) / sizeof(refused[0]) - first);
	if (r == 0 && !may_exec)
		r = refuse_all(filter, exec, sizeof(exec) / sizeof(exec[0]));
	return r < 0 ? r : refuse_some(filter);
}

int harden_calls(enum harden_exec exec)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	int r = refuse_odd(filter, exec == HARDEN_MAY_EXEC);
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

int harden_changes(void)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
	if (!filter)
		return -ENOMEM;
	int r = refuse_all(filter, changing, sizeof(changing) / sizeof(changing[0]));
	if (r == 0)
		r = seccomp_load(filter);
	seccomp_release(filter);
	return r;
}

/* ── files ── */

#define READ_FILE LANDLOCK_ACCESS_FS_READ_FILE
#define READ      (READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define FIRST_ABI (2 * LANDLOCK_ACCESS_FS_MAKE_SYM - 1) /* the rights of the first version are the lowest bits */

/* All rights that this kernel knows of; what is built against older headers does without the newest. */
static uint64_t rights_of(long abi)
{
	uint64_t rights = FIRST_ABI;
	if (abi >= 2)
		rights |= LANDLOCK_ACCESS_FS_REFER;
#ifdef LANDLOCK_ACCESS_FS_TRUNCATE
	if (abi >= 3)
		rights |= LANDLOCK_ACCESS_FS_TRUNCATE;
#endif
#ifdef LANDLOCK_ACCESS_FS_IOCTL_DEV
	if (abi >= 5)
		rights |= LANDLOCK_ACCESS_FS_IOCTL_DEV;
#endif
	return rights;
}

/* What is not there, or is not ours to enter, needs no right. */
static int allow(int ruleset, const char *path)
{
	struct stat st;
	AUTO_FD fd = open(path, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? -errno : 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	const struct landlock_path_beneath_attr rule = {.allowed_access = S_ISDIR(st.st_mode) ? READ : READ_FILE,
							.parent_fd = fd};
	return syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) < 0 ? -errno : 0;
}

int harden_files(const char *const *readable, size_t len)
{
	if (IS_SANITIZED)
		return -EOPNOTSUPP;
	long abi = syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
	if (abi < 0)
		return -errno;
	const struct landlock_ruleset_attr all = {.handled_access_fs = rights_of(abi)};
	AUTO_FD ruleset = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof(all), 0);
	if (ruleset < 0)
		return -errno;
	for (size_t i = 0; i < len; i++) {
		int r = allow(ruleset, readable[i]);
		if (r < 0)
			return r;
	}
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_landlock_restrict_self, ruleset, 0) < 0)
		return -errno;
	return 0;
}
