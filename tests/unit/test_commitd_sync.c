/* SPDX-License-Identifier: Apache-2.0 */
/* Commits whose sync fails: in a child process, in which a system call filter lets fsync(2) of a descriptor fail. */

/* Own */
#include "tests/unit/test_commitd_store.h"
#include "tests/unit/unit.h"

/* System */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* The code under test */
#include "commitd/commit.h"

#define REF  "some/ref"
#define TEXT "the bytes"

static struct store st;

static int setup(void **state)
{
	(void)state;
	store_open(&st);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	store_close(&st);
	return 0;
}

/* The descriptor of the blob's directory, which a batch opens first. The record of the ingest can be synced. */
static bool fail_fsync(int fd)
{
	struct sock_filter code[] = {
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 3),
	    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
	    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)fd, 0, 1),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
	    BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(code[0]), .filter = code};
	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static struct commit run_commit(void)
{
	struct digest d = digest_of_text(TEXT);
	struct commit c, *batch = &c;

	ingest_note_as_sealed(&st, REF, &d, strlen(TEXT));
	commit_init(&c, span_str(REF), &d, strlen(TEXT), false);
	commit_batch(st.layout, &batch, 1);
	return c;
}

/* The child reports with exit codes, because the parent's assertions do not work in it. */
static int commit_without_syncs(void)
{
	int next = dup(layout_root_fd(st.layout));
	if (close(next) < 0 || !fail_fsync(next))
		return 1;
	struct commit c = run_commit();
	return c.step != COMMIT_REJECTED ? 2 : c.fail_class != FAIL_IO ? 3 : 0;
}

/* A name that is not known to be durable is taken back. The next attempt names the data again. */
static void test_unsynced_name_is_taken_back(void **state)
{
	struct digest d = digest_of_text(TEXT);
	char data[PATH_SIZE], blob[PATH_SIZE];
	int status;

	(void)state;
	if (unit_emulated())
		skip();
	ingest_make(&st, REF, TEXT);
	ingest_data(&st, REF, data);
	blob_of(&st, &d, blob);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(commit_without_syncs());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_false(exists(blob));
	assert_true(file_is(data, TEXT));
	assert_int_equal(run_commit().step, COMMIT_DONE);
	assert_true(file_is(blob, TEXT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_unsynced_name_is_taken_back, setup, teardown),
	};
	return cmocka_run_group_tests_name("commitd-sync", tests, NULL, NULL);
}
