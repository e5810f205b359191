/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/auth/helper.h"

/* System */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

/* Base */
#include "common/base/loop.h"

/* OCI */
#include "common/oci/credential_helper.h"

struct helper {
	struct helper_process process;
	helper_done *done;
	void *self;
	struct loop_io readable;
	struct loop_child child;
	struct loop_timer timeout;
};

static void helper_free(struct helper *h)
{
	loop_io_stop(&h->readable);
	loop_child_stop(&h->child);
	loop_timer_stop(&h->timeout);
	if (h->process.pid > 0)
		(void)kill(-h->process.pid, SIGKILL); /* and what it started; the loop reaps it */
	helper_release(&h->process);
	free(h);
}

static void finish(struct helper *h, enum helper_end end, const struct reason *why)
{
	h->done(h->self, end, buf_span(&h->process.output), why);
	helper_free(h);
}

static void fail(struct helper *h, const char *what)
{
	struct reason why;
	reason_set(&why, "%s %s", h->process.program, what);
	finish(h, HELPER_FAILED, &why);
}

static void on_readable(void *self, unsigned events)
{
	struct helper *h = self;
	size_t before = h->process.output.len;
	(void)events;
	if (!helper_take(&h->process))
		fail(h, "prints more than a credential");
	else if (h->process.output.len == before)
		loop_io_stop(&h->readable); /* the end; how it ended comes next */
}

static void on_exit_of_child(void *self, int status)
{
	struct helper *h = self;
	struct reason why;
	h->process.pid = 0;
	if (!helper_take(&h->process)) {
		fail(h, "prints more than a credential");
		return;
	}
	int r = helper_judge(&h->process, status, &why);
	finish(h, r == 0 ? HELPER_PRINTED : r == -ENOENT ? HELPER_NOTHING : HELPER_FAILED, &why);
}

static void on_timeout(void *self)
{
	fail(self, "does not answer");
}

int helper_start(struct loop *loop, const char *name, const char *server, uint64_t timeout_ms, helper_done *done,
		 void *self, struct helper **ret_helper, struct reason *why)
{
	struct helper *h = calloc(1, sizeof(*h));
	reason_set(why, "out of memory");
	if (!h)
		return -ENOMEM;
	h->done = done;
	h->self = self;
	loop_io_init(&h->readable, loop, on_readable, h);
	loop_timer_init(&h->timeout, loop, on_timeout, h);
	int r = helper_spawn(&h->process, name, server, HELPER_OWN_GROUP, why);
	if (r < 0) {
		helper_free(h);
		return r;
	}
	loop_io_watch(&h->readable, h->process.fd, LOOP_READ);
	loop_child_start(&h->child, loop, h->process.pid, on_exit_of_child, h);
	loop_timer_set(&h->timeout, timeout_ms);
	*ret_helper = h;
	return 0;
}

void helper_cancel(struct helper *h)
{
	if (h)
		helper_free(h);
}
