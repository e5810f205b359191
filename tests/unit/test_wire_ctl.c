/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage's ctl socket: which answers and events a client receives, and that no client can harm another, whatever it
 * does or does not do.
 */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/unit_dir.h"
#include "tests/unit/unit_turn.h"

/* System */
#include <sys/socket.h>

/* The code under test */
#include "common/wire/ctl.h"
#include "common/wire/ctl_client.h"

#define PATIENCE_MS 20000

static struct loop *loop;
static struct ctl *ctl;
static struct stage_self self;

/* What the stage has seen. */
static struct {
	unsigned requests;
	struct ctl_asker who;
	char ref[64];
	bool later; /* the test answers */
} seen;

static void on_request(void *unused, const struct ctl_asker *who, const struct message *m)
{
	(void)unused;
	seen.requests++;
	seen.who = *who;
	(void)snprintf(seen.ref, sizeof(seen.ref), "%.*s", SPAN_ARG(m->ref));
	if (!seen.later)
		ctl_answer(ctl, who->client, &(struct message){.type = MSG_OK});
}

static void on_describe(void *unused, struct message *pong)
{
	(void)unused;
	pong->dev = 17;
	pong->text = span_str("/the/store");
}

static int serve(struct reason *why)
{
	static const struct ctl_hooks hooks = {.request = on_request, .describe = on_describe};
	const struct ctl_env env = {.loop = loop,
				    .runtime_dir = dir.path,
				    .identity = &self,
				    .refused = COUNT_REFUSED_COMMIT_CTL,
				    .hooks = &hooks};
	return ctl_new(&env, &ctl, why);
}

static int setup(void **state)
{
	(void)unit_dir_set_up(state);
	memset(&seen, 0, sizeof(seen));
	assert_int_equal(loop_new(&loop), 0);
	stage_self_init(&self, STAGE_COMMITD);
	return serve(NULL);
}

static int teardown(void **state)
{
	ctl_free(ctl);
	ctl = NULL;
	loop_free(loop);
	return unit_dir_tear_down(state);
}

#define turn_until(condition) unit_turn_until(loop, false, PATIENCE_MS, condition)

static struct ctl_client *client(void)
{
	struct ctl_client *c;
	assert_int_equal(ctl_connect(dir.path, STAGE_COMMITD, &c), 0);
	return c;
}

static int next(struct ctl_client *c, struct message *m)
{
	uint64_t end_ms = clock_mono_ms() + PATIENCE_MS;
	int r;
	while ((r = ctl_receive(c, 0, m)) == -EAGAIN && clock_mono_ms() < end_ms)
		loop_turn(loop, false);
	return r;
}

static struct message ask(struct ctl_client *c, const struct message *request)
{
	struct message m;
	assert_int_equal(ctl_send(c, request, PATIENCE_MS), 0);
	assert_int_equal(next(c, &m), 0);
	return m;
}

static struct message status(const char *ref)
{
	return (struct message){.type = MSG_STATUS, .ref = span_str(ref)};
}

static void subscribe(struct ctl_client *c, const char *ref)
{
	const struct message request = {.type = MSG_SUBSCRIBE, .ref = span_str(ref)};
	assert_int_equal(ask(c, &request).type, MSG_OK);
}

static void publish(const char *ref)
{
	const struct message m = {.type = MSG_RECORD, .ref = span_str(ref), .state = TRANSFER_FETCHING};
	ctl_publish(ctl, m.ref, &m);
}

/* It was told why, and disconnected. */
static void assert_dismissed(struct ctl_client *c, enum fail_class fail_class, const char *words)
{
	struct message m;
	int r;
	while ((r = next(c, &m)) == 0 && m.type != MSG_ERROR)
		continue;
	assert_int_equal(r, 0);
	assert_int_equal(m.fail_class, fail_class);
	char text[TEXT_MAX + 1];
	(void)snprintf(text, sizeof(text), "%.*s", SPAN_ARG(m.text));
	if (!strstr(text, words))
		fail_msg("'%s' was not said, but '%s'", words, text);
	assert_int_equal(next(c, &m), -EPIPE);
	ctl_disconnect(c);
}

static void assert_served(struct ctl_client *c)
{
	const struct message request = status("r");
	assert_int_equal(ask(c, &request).type, MSG_OK);
}

/* ── requests ── */

static void test_ping(void **state)
{
	struct ctl_client *c = client();
	struct message ping = {.type = MSG_PING};
	(void)state;
	stage_introduce(&ping);
	struct message m = ask(c, &ping);
	assert_int_equal(m.type, MSG_PONG);
	assert_int_equal(m.incarnation, self.incarnation);
	assert_int_equal(m.dev, 17);
	assert_true(span_eq(m.text, span_str("/the/store")));
	assert_int_equal(m.highest, WIRE_VERSION);
	ctl_disconnect(c);
}

/* A client of a neighbouring version is served. One without a common version is refused by name. */
static void test_versions(void **state)
{
	struct ctl_client *near = client(), *far = client(), *old = client(), *mute = client();
	struct message ping = {.type = MSG_PING,
			       .protocol = WIRE_VERSION + 1,
			       .lowest = WIRE_VERSION,
			       .highest = WIRE_VERSION + 1,
			       .version = span_str("9.9")};
	(void)state;
	assert_int_equal(ask(near, &ping).type, MSG_PONG);
	assert_served(near);
	ping.lowest = WIRE_VERSION + 1;
	assert_int_equal(ctl_send(far, &ping, PATIENCE_MS), 0);
	assert_dismissed(far, FAIL_USAGE, "this client 9.9 speaks protocol 3");
	ping = (struct message){.type = MSG_PING, .protocol = 1};
	assert_int_equal(ctl_send(old, &ping, PATIENCE_MS), 0);
	assert_dismissed(old, FAIL_USAGE, "this client speaks protocol 1");
	struct message request = status("r");
	request.protocol = WIRE_TALK_MIN - 1;
	uint8_t bytes[64];
	int fd = ctl_client_fd(mute);
	size_t len = message_encode_head(&request, bytes);
	unsigned requests = seen.requests;
	assert_int_equal(send(fd, bytes, len, 0), (ssize_t)len);
	assert_dismissed(mute, FAIL_USAGE, "another protocol version");
	assert_int_equal(seen.requests, requests);
	assert_served(near);
	ctl_disconnect(near);
}

static void test_peer_credentials(void **state)
{
	struct ctl_client *a = client(), *b = client();
	const struct message request = status("about this");
	(void)state;
	assert_int_equal(ask(a, &request).type, MSG_OK);
	assert_int_equal(seen.who.uid, geteuid());
	assert_string_equal(seen.ref, "about this");
	uint64_t first = seen.who.client;
	assert_int_equal(ask(b, &request).type, MSG_OK);
	assert_int_not_equal(seen.who.client, first);
	ctl_disconnect(a);
	ctl_disconnect(b);
}

/* A client's next request is read only after its current one is answered. Other clients are not delayed. */
static void test_answer_later(void **state)
{
	struct ctl_client *a = client(), *b = client();
	const struct message one = status("one"), two = status("two");
	struct message m;
	(void)state;
	seen.later = true;
	assert_int_equal(ctl_send(a, &one, PATIENCE_MS), 0);
	assert_int_equal(ctl_send(a, &two, PATIENCE_MS), 0);
	turn_until(seen.requests == 1);
	uint64_t first = seen.who.client;
	assert_int_equal(ctl_send(b, &one, PATIENCE_MS), 0);
	turn_until(seen.requests == 2);
	assert_int_not_equal(seen.who.client, first);
	ctl_answer(ctl, first, &(struct message){.type = MSG_OK});
	ctl_answer(ctl, first, &(struct message){.type = MSG_OK}); /* once */
	assert_int_equal(next(a, &m), 0);
	turn_until(seen.requests == 3);
	assert_string_equal(seen.ref, "two");
	assert_int_equal(ctl_receive(a, 0, &m), -EAGAIN);
	/* A client that has disconnected gets no answer. */
	ctl_disconnect(a);
	ctl_disconnect(b);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, false);
	ctl_answer(ctl, seen.who.client, &(struct message){.type = MSG_OK});
	ctl_answer(ctl, 12345, &(struct message){.type = MSG_OK});
	for (int i = 0; i < 10; i++)
		loop_turn(loop, false);
}

static void test_stop(void **state)
{
	struct ctl_client *c = client();
	const struct message request = status("r");
	struct message m;
	(void)state;
	assert_served(c);
	ctl_stop(ctl);
	assert_int_equal(ctl_send(c, &request, PATIENCE_MS), 0);
	for (int i = 0; i < 10; i++)
		loop_turn(loop, false);
	assert_int_equal(seen.requests, 1);
	assert_int_equal(ctl_receive(c, 0, &m), -EAGAIN);
	ctl_disconnect(c);
}

/* ── events ── */

static void test_events(void **state)
{
	struct ctl_client *all = client(), *one = client(), *none = client();
	struct message m;
	(void)state;
	subscribe(all, "");
	subscribe(one, "a");
	subscribe(one, "c");
	subscribe(one, "c");
	assert_served(none);
	publish("a");
	publish("b");
	publish("c");
	for (const char *ref = "abc"; *ref; ref++) {
		assert_int_equal(next(all, &m), 0);
		assert_true(span_eq(m.ref, span_of(ref, 1)));
	}
	assert_int_equal(next(one, &m), 0);
	assert_true(span_eq(m.ref, span_str("a")));
	assert_int_equal(next(one, &m), 0);
	assert_true(span_eq(m.ref, span_str("c")));
	assert_int_equal(ctl_receive(one, 0, &m), -EAGAIN);
	assert_int_equal(ctl_receive(none, 0, &m), -EAGAIN);
	ctl_disconnect(all);
	ctl_disconnect(one);
	ctl_disconnect(none);
}

static void test_too_many_subjects(void **state)
{
	struct ctl_client *c = client();
	char ref[16];
	(void)state;
	for (unsigned i = 0; i < CTL_SUBJECTS_MAX; i++) {
		(void)snprintf(ref, sizeof(ref), "r%u", i);
		subscribe(c, ref);
	}
	const struct message more = {.type = MSG_SUBSCRIBE, .ref = span_str("one more")};
	assert_int_equal(ctl_send(c, &more, PATIENCE_MS), 0);
	assert_dismissed(c, FAIL_USAGE, "too many subscriptions");
}

/* A client that does not read gets its queue, then the reason for its end. Nobody waits for it. */
static void test_slow_client(void **state)
{
	struct ctl_client *slow = client(), *quick = client();
	struct message m;
	unsigned heard = 0, sent = 0;
	(void)state;
	subscribe(slow, "");
	subscribe(quick, "");
	for (; sent < 20000; sent++) {
		publish("a ref of some length, so that the socket is full sooner");
		assert_int_equal(next(quick, &m), 0);
	}
	for (;;) {
		assert_int_equal(next(slow, &m), 0);
		if (m.type != MSG_RECORD)
			break;
		heard++;
	}
	assert_true(heard >= CTL_QUEUE_MAX && heard < sent);
	assert_int_equal(m.type, MSG_ERROR);
	assert_int_equal(m.fail_class, FAIL_AGAIN);
	assert_int_equal(next(slow, &m), -EPIPE);
	assert_served(quick);
	ctl_disconnect(slow);
	ctl_disconnect(quick);
}

/* ── invalid clients ── */

static int raw_connect(void)
{
	struct sockaddr_un address;
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(stage_ctl_address(dir.path, STAGE_COMMITD, &address), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static void test_garbage(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
	} rows[] = {
	    {"x", 1},
	    {"GET / HTTP/1.1\r\n\r\n", 18},
	    {"SL", 2},
	    {"SL\x02", 3},
	    {"SL\x02\xff", 4},
	    {"SL\x63\x0d\0\x01r", 7},
	    {"SL\x02\x0d\0\0", 6},
	    {"SL\x02\x0d\0\x01rx", 8},
	    {"SL\x02\x0d\0\x01\n", 7},
	};
	struct ctl_client *good = client();
	uint64_t before = counter_values[COUNT_REFUSED_COMMIT_CTL];
	uint8_t bytes[64];
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct message m;
		int fd = raw_connect();
		assert_int_equal(send(fd, rows[i].bytes, rows[i].len, 0), (ssize_t)rows[i].len);
		turn_until(counter_values[COUNT_REFUSED_COMMIT_CTL] == before + i + 1);
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
		assert_true(n > 0);
		assert_int_equal(message_decode(span_of(bytes, (size_t)n), &m), DECODE_OK);
		assert_int_equal(m.type, MSG_ERROR);
		assert_int_equal(recv(fd, bytes, sizeof(bytes), 0), 0);
		(void)close(fd);
		assert_served(good);
	}
	ctl_disconnect(good);
}

/* One byte more than any message has. */
static void test_too_long(void **state)
{
	static uint8_t bytes[MESSAGE_HEAD_MAX + 1];
	struct ctl_client *good = client();
	int fd = raw_connect();
	(void)state;
	memcpy(bytes, "SL\x02\x0d", 4);
	assert_int_equal(send(fd, bytes, sizeof(bytes), 0), (ssize_t)sizeof(bytes));
	turn_until(counter_values[COUNT_REFUSED_COMMIT_CTL] > 0);
	assert_served(good);
	(void)close(fd);
	ctl_disconnect(good);
}

/* The limit, and one past it: the client that was idle longest is dropped, a subscriber stays. */
static void test_too_many_connections(void **state)
{
	static struct ctl_client *crowd[CTL_CLIENTS_MAX + 1];
	struct message m;
	(void)state;
	crowd[0] = client();
	subscribe(crowd[0], "");
	stand_in_clock_set(clock_mono_ms());
	for (size_t i = 1; i < CTL_CLIENTS_MAX; i++) {
		stand_in_clock_set(clock_mono_ms() + 1);
		crowd[i] = client();
		const struct message request = status("r");
		assert_int_equal(ctl_send(crowd[i], &request, PATIENCE_MS), 0);
		for (int r = -EAGAIN; r == -EAGAIN; r = ctl_receive(crowd[i], 0, &m))
			loop_turn(loop, false);
	}
	crowd[CTL_CLIENTS_MAX] = client();
	for (int i = 0; i < 20; i++)
		loop_turn(loop, false);
	stand_in_clock_release();
	assert_dismissed(crowd[1], FAIL_AGAIN, "too many connections");
	crowd[1] = NULL;
	assert_served(crowd[2]);
	assert_served(crowd[CTL_CLIENTS_MAX]);
	publish("r");
	assert_int_equal(next(crowd[0], &m), 0);
	for (size_t i = 0; i <= CTL_CLIENTS_MAX; i++)
		ctl_disconnect(crowd[i]);
}

/* ── the place ── */

static void test_socket_directory(void **state)
{
	struct reason why = {""};
	struct ctl_client *c;
	struct message m;
	struct stat st;
	(void)state;
	assert_int_equal(fstatat(dir.fd, "commitd", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(fstatat(dir.fd, "commitd/ctl", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0660);
	ctl_free(ctl);
	assert_false(unit_exists(&dir, "commitd/ctl"));
	assert_int_equal(ctl_connect(dir.path, STAGE_COMMITD, &c), -ENOENT);
	/* The socket of a killed stage is replaced. */
	unit_write_text(&dir, "commitd/ctl", "");
	assert_int_equal(ctl_connect(dir.path, STAGE_COMMITD, &c), -ECONNREFUSED);
	assert_int_equal(ctl_open(dir.path, STAGE_COMMITD, 0, &c, &m, &why), -ECONNREFUSED);
	assert_true(strncmp(why.text, "cannot reach commitd in '", 25) == 0);
	assert_int_equal(serve(&why), 0);
	c = client();
	assert_served(c);
	ctl_disconnect(c);
	c = NULL;
	/* It accepts connections, and its loop does not turn. */
	assert_int_equal(ctl_open(dir.path, STAGE_COMMITD, 0, &c, &m, &why), -ETIMEDOUT);
	assert_string_equal(why.text, "commitd does not answer: Connection timed out");
	assert_null(c);
	ctl_free(ctl);
	ctl = NULL;
	/* Others can write there, and could replace the socket. */
	assert_int_equal(fchmodat(dir.fd, "commitd", 0770, 0), 0);
	assert_int_equal(serve(&why), -EPERM);
	assert_non_null(strstr(why.text, "others can write"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_ping, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_versions, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_peer_credentials, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_answer_later, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_events, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_too_many_subjects, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_slow_client, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_garbage, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_too_many_connections, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_socket_directory, setup, teardown),
	};
	return cmocka_run_group_tests_name("ctl", tests, NULL, NULL);
}
