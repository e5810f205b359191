/* SPDX-License-Identifier: Apache-2.0 */
/* The keeper as a process: what it answers to fetchd, and to somebody who has taken fetchd over. */

/* Own */
#include "tests/unit/fetchd_settings.h"

/* System */
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

/* Base */
#include "common/base/loop.h"

/* The code under test */
#include "fetchd/auth/keeper.h"
#include "fetchd/auth/keeper_serve.h"

#define BASIC "dTpw" /* u:p */

struct scene {
	struct unit_dir dir;
	struct settings settings;
	struct call call;
	char words[FILE_PATH_SIZE * 2];
	struct loop *loop;
	struct keeper *keeper;
	unsigned wanted, heard, gone;
	struct keeper_answer last; /* its value is a copy */
	char value[64];
	int fd; /* of a keeper without a struct keeper */
	pid_t pid;
};

/* A helper that answers only when it is told to, and an entry for a.io. */
static void begin(struct scene *c, const char *auth)
{
	struct reason why;
	char path[FILE_PATH_SIZE], conf[FILE_PATH_SIZE * 2];
	memset(c, 0, sizeof(*c));
	unit_dir_make(&c->dir);
	unit_write_text(&c->dir, "auth.json", auth);
	unit_write_text(&c->dir, "docker-credential-unit",
			"#!/bin/sh\nread server\nwhile [ -e \"$0\" ]; do sleep 0.1; done\n");
	assert_int_equal(fchmodat(c->dir.fd, "docker-credential-unit", 0755, 0), 0);
	(void)snprintf(conf, sizeof(conf), "[fetchd]\nauth_file = %s\n", unit_path(&c->dir, "auth.json", path));
	unit_write_text(&c->dir, "conf", conf);
	(void)snprintf(c->words, sizeof(c->words), "--config=%s", unit_path(&c->dir, "conf", path));
	if (unit_settings(c->words, &c->settings, &why) < 0)
		fail_msg("%s", why.text);
	c->call = unit_call(c->words);
	c->call.settings = &c->settings;
	assert_int_equal(setenv("HOME", c->dir.path, 1), 0);
	(void)snprintf(path, sizeof(path), "%s:/usr/bin:/bin", c->dir.path);
	assert_int_equal(setenv("PATH", path, 1), 0);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", c->dir.path, 1), 0);
	c->fd = -1;
}

static void finish(struct scene *c)
{
	keeper_free(c->keeper);
	loop_free(c->loop);
	if (c->fd >= 0)
		assert_int_equal(close(c->fd), 0);
	if (c->pid > 0)
		assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
	unit_dir_remove(&c->dir);
}

/* ── as fetchd ── */

static void on_answer(void *self, struct keeper_answer *answer)
{
	struct scene *c = self;
	c->last = *answer;
	(void)snprintf(c->value, sizeof(c->value), "%s",
		       answer->credential.value.data ? answer->credential.value.data : "");
	if (++c->heard == c->wanted)
		loop_break(c->loop);
}

static void on_gone(void *self)
{
	struct scene *c = self;
	c->gone++;
	loop_break(c->loop);
}

static void start(struct scene *c, void (*gone)(void *self))
{
	assert_int_equal(keeper_start(&c->call, &c->keeper), 0);
	assert_int_equal(loop_new(&c->loop), 0);
	keeper_watch(c->keeper, c->loop, gone, c);
}

static struct keeper_ask *ask(struct scene *c, const char *host, unsigned next)
{
	struct keeper_ask *a;
	assert_int_equal(keeper_find(c->keeper, host, "app", next, on_answer, c, &a), 0);
	return a;
}

static void hear(struct scene *c, unsigned count)
{
	c->heard = 0;
	c->wanted = count;
	loop_run(c->loop);
	assert_int_equal(c->heard, count);
}

static void test_finds(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, "{\"auths\":{\"a.io\":{\"auth\":\"" BASIC "\"}}}");
	start(&c, on_gone);
	(void)ask(&c, "a.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, 0);
	assert_string_equal(c.value, BASIC);
	(void)ask(&c, "b.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, -ENOENT);
	finish(&c);
}

/* One place that cannot be used: the reason, and where to go on. */
static void test_goes_on(void **state)
{
	struct scene c;
	(void)state;
	begin(&c, "{");
	start(&c, on_gone);
	(void)ask(&c, "a.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, -EINVAL);
	assert_non_null(strstr(c.last.why.text, "not valid JSON"));
	(void)ask(&c, "a.io", c.last.next);
	hear(&c, 1);
	assert_int_equal(c.last.result, -ENOENT);
	finish(&c);
}

/* The file's text is read each time; which file it is, when the configuration is. */
static void test_rereads(void **state)
{
	struct scene c;
	char text[FILE_PATH_SIZE * 2], path[FILE_PATH_SIZE];
	(void)state;
	begin(&c, "{}");
	start(&c, on_gone);
	unit_write_text(&c.dir, "other.json", "{\"auths\":{\"a.io\":{\"auth\":\"" BASIC "\"}}}");
	(void)snprintf(text, sizeof(text), "[fetchd]\nauth_file = %s\n", unit_path(&c.dir, "other.json", path));
	unit_write_text(&c.dir, "conf", text);
	(void)ask(&c, "a.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, -ENOENT);
	keeper_reread(c.keeper);
	(void)ask(&c, "a.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, 0);
	unit_write_text(&c.dir, "conf", "[fetchd]\nnonsense = 1\n");
	keeper_reread(c.keeper);
	(void)ask(&c, "a.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, 0); /* the old settings stay */
	finish(&c);
}

/* As many questions as it works on at once, and one more; those that are forgotten make room. */
static void test_many(void **state)
{
	struct scene c;
	struct keeper_ask *asks[KEEPER_SEARCHES];
	(void)state;
	begin(&c, "{\"credHelpers\":{\"slow.io\":\"unit\"},\"auths\":{\"a.io\":{\"auth\":\"" BASIC "\"}}}");
	start(&c, on_gone);
	for (size_t i = 0; i < LEN(asks); i++) {
		asks[i] = ask(&c, "slow.io", 0);
		if (i + 2 < LEN(asks))
			continue;
		(void)ask(&c, "a.io", 0);
		hear(&c, 1);
		assert_int_equal(c.last.result, i + 1 < LEN(asks) ? 0 : -ENOMEM);
	}
	for (size_t i = 0; i < LEN(asks); i++)
		keeper_cancel(asks[i]);
	(void)ask(&c, "a.io", 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, 0);
	finish(&c);
}

static void test_too_long(void **state)
{
	struct scene c;
	struct keeper_ask *a;
	char host[KEEPER_WORD_SIZE + 1];
	(void)state;
	memset(host, 'a', sizeof(host));
	begin(&c, "{}");
	start(&c, on_gone);
	host[KEEPER_WORD_SIZE - 1] = '\0';
	(void)ask(&c, host, 0);
	hear(&c, 1);
	assert_int_equal(c.last.result, -ENOENT);
	host[KEEPER_WORD_SIZE - 1] = 'a';
	host[KEEPER_WORD_SIZE] = '\0';
	assert_int_equal(keeper_find(c.keeper, host, "", 0, on_answer, &c, &a), -ENAMETOOLONG);
	finish(&c);
}

/* The longest value that fits in an answer, and one more. */
static void test_long_value(void **state)
{
	static char text[2 * KEEPER_VALUE_MAX];
	static const size_t lens[] = {KEEPER_VALUE_MAX / 4 * 3, KEEPER_VALUE_MAX / 4 * 3 + 1};
	(void)state;
	for (size_t i = 0; i < LEN(lens); i++) {
		struct scene c;
		int len = snprintf(text, sizeof(text), "{\"auths\":{\"a.io\":{\"username\":\"u\",\"password\":\"");
		memset(text + len, 'p', lens[i] - 2);
		(void)snprintf(text + len + lens[i] - 2, 16, "\"}}}");
		begin(&c, text);
		start(&c, on_gone);
		(void)ask(&c, "a.io", 0);
		hear(&c, 1);
		assert_int_equal(c.last.result, i == 0 ? 0 : -EINVAL);
		finish(&c);
	}
}

static pid_t child(void)
{
	pid_t pid = 0;
	FILE *f = fopen("/proc/thread-self/children", "re");
	assert_non_null(f);
	assert_int_equal(fscanf(f, "%d", &pid), 1);
	assert_int_equal(fclose(f), 0);
	return pid;
}

static void test_killed(void **state)
{
	(void)state;
	for (int has_hook = 0; has_hook < 2; has_hook++) {
		struct scene c;
		struct keeper_ask *a;
		begin(&c, "{\"credHelpers\":{\"slow.io\":\"unit\"}}");
		start(&c, has_hook ? on_gone : NULL);
		a = ask(&c, "slow.io", 0);
		assert_int_equal(kill(child(), SIGKILL), 0);
		c.wanted = 1;
		loop_run(c.loop);
		assert_int_equal(c.gone, has_hook);
		assert_int_equal(c.heard, !has_hook);
		if (has_hook)
			keeper_cancel(a);
		else
			assert_int_equal(c.last.result, -EPIPE);
		if (!has_hook)
			assert_int_equal(keeper_find(c.keeper, "a.io", "", 0, on_answer, &c, &a), -EPIPE);
		finish(&c);
	}
}

/* ── as somebody else ── */

static void take_over(struct scene *c)
{
	int ends[2];
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	c->pid = fork();
	if (c->pid == 0) {
		(void)close(ends[0]);
		keeper_serve(ends[1], &c->call);
	}
	(void)close(ends[1]);
	c->fd = ends[0];
}

static struct keeper_question question(const char *host)
{
	struct keeper_question q = {.id = 7, .kind = KEEPER_FIND};
	(void)snprintf(q.host, sizeof(q.host), "%s", host);
	return q;
}

/* A host of its own making reaches neither a file nor a helper: it could forge a second line on that one's input. */
static void test_forged_host(void **state)
{
	static const char *const hosts[] = {"", "a.io\nevil", "a io", "a\r", "\x7f", "\xc3\xa4"};
	struct scene c;
	struct keeper_reply reply;
	(void)state;
	begin(&c, "{\"credsStore\":\"unit\"}");
	take_over(&c);
	for (size_t i = 0; i < LEN(hosts) + 2; i++) {
		struct keeper_question q = question(i < LEN(hosts) ? hosts[i] : "a.io");
		if (i == LEN(hosts))
			memset(q.host, 'a', sizeof(q.host));
		if (i == LEN(hosts) + 1)
			memset(q.name, 'a', sizeof(q.name));
		assert_int_equal(send(c.fd, &q, sizeof(q), 0), sizeof(q));
		assert_int_equal(recv(c.fd, &reply, sizeof(reply), 0), sizeof(reply));
		assert_int_equal(reply.id, 7);
		assert_int_equal(reply.result, -ENOENT);
		assert_int_equal(reply.value[0], '\0');
	}
	finish(&c);
}

static void test_nonsense_ends_it(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		struct scene c;
		struct keeper_question q[2] = {question("a.io"), question("a.io")};
		size_t lens[] = {sizeof(q[0]) - 1, sizeof(q[0]) + 1, sizeof(q[0]), 1};
		char byte;
		begin(&c, "{}");
		take_over(&c);
		if (i == 2)
			q[0].kind = KEEPER_DROP + 1;
		assert_int_equal(send(c.fd, q, lens[i], 0), lens[i]);
		assert_int_equal(recv(c.fd, &byte, 1, 0), 0);
		finish(&c);
	}
}

/* What is dropped was perhaps never asked. */
static void test_drop_of_nothing(void **state)
{
	struct scene c;
	struct keeper_reply reply;
	(void)state;
	begin(&c, "{}");
	take_over(&c);
	struct keeper_question q = question("a.io");
	q.kind = KEEPER_DROP;
	assert_int_equal(send(c.fd, &q, sizeof(q), 0), sizeof(q));
	q.kind = KEEPER_FIND;
	q.next = UINT32_MAX;
	assert_int_equal(send(c.fd, &q, sizeof(q), 0), sizeof(q));
	assert_int_equal(recv(c.fd, &reply, sizeof(reply), 0), sizeof(reply));
	assert_int_equal(reply.result, -ENOENT);
	finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_finds),
	    cmocka_unit_test(test_goes_on),
	    cmocka_unit_test(test_rereads),
	    cmocka_unit_test(test_many),
	    cmocka_unit_test(test_too_long),
	    cmocka_unit_test(test_long_value),
	    cmocka_unit_test(test_killed),
	    cmocka_unit_test(test_forged_host),
	    cmocka_unit_test(test_nonsense_ends_it),
	    cmocka_unit_test(test_drop_of_nothing),
	};
	return cmocka_run_group_tests_name("fetchd auth keeper", tests, NULL, NULL);
}
