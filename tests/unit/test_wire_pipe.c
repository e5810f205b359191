/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes: real nanomsg sockets in a temporary directory. */

/* Own */
#include "tests/unit/unit_dir.h"

/* System */
#include <nanomsg/nn.h>
#include <nanomsg/pipeline.h>
#include <poll.h>
#include <sys/un.h>

/* The code under test */
#include "common/wire/pipe.h"

#define WAIT_MS 10000

static void wait_for(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

static void receive(struct pipe *p, struct message *m)
{
	int r;

	do {
		wait_for(pipe_receive_fd(p));
		r = pipe_receive(p, m, NULL);
	} while (r == -EAGAIN);
	assert_int_equal(r, 0);
}

static const struct message hello = {
    .type = MSG_HELLO, .incarnation = 5, .peer = 6, .lowest = 2, .highest = 2, .version = {(const uint8_t *)"v", 1}};

static void test_send_receive(void **state)
{
	struct pipe *push, *pull;
	struct message m;

	(void)state;
	assert_int_equal(pipe_open(dir.path, PIPE_ORDERS, PIPE_PUSH, &push), 0);
	assert_int_equal(pipe_send(push, &hello), -EAGAIN); /* nobody there: no blocking, no queue */
	assert_int_equal(pipe_open(dir.path, PIPE_ORDERS, PIPE_PULL, &pull), 0);
	assert_int_equal(pipe_receive(pull, &m, NULL), -EAGAIN);
	wait_for(pipe_send_fd(push));
	assert_int_equal(pipe_send(push, &hello), 0);
	receive(pull, &m);
	assert_int_equal(m.type, MSG_HELLO);
	assert_int_equal(m.incarnation, 5);
	assert_int_equal(m.peer, 6);
	assert_int_equal(pipe_send_fd(pull), -1);
	assert_int_equal(pipe_receive_fd(push), -1);
	pipe_close(pull);
	pipe_close(push);
	assert_false(unit_exists(&dir, "fetch/orders")); /* the binder removes its socket */
}

/* A connecting end can renew its connection, whether or not it had one. */
static void test_renew(void **state)
{
	struct pipe *push, *pull;
	struct message m;

	(void)state;
	assert_int_equal(pipe_open(dir.path, PIPE_ORDERS, PIPE_PULL, &pull), 0);
	assert_int_equal(pipe_renew(pull), 0);
	assert_int_equal(pipe_open(dir.path, PIPE_ORDERS, PIPE_PUSH, &push), 0);
	for (int i = 0; i < 3; i++) {
		int r = -EAGAIN;
		assert_int_equal(pipe_renew(pull), 0);
		/* Messages on the old connection are lost, so repeat until one arrives. */
		for (int tries = 0; r == -EAGAIN && tries < WAIT_MS / 10; tries++) {
			(void)pipe_send(push, &hello);
			(void)poll(NULL, 0, 10);
			r = pipe_receive(pull, &m, NULL);
		}
		assert_int_equal(r, 0);
		assert_int_equal(m.type, MSG_HELLO);
	}
	pipe_close(pull);
	pipe_close(push);
}

/* Full and partial chunks arrive unchanged, without a copy when sent. */
static void test_chunks(void **state)
{
	static const size_t lens[] = {1, 4095, CHUNK_PAYLOAD_MAX - 1, CHUNK_PAYLOAD_MAX};
	struct message head = {.type = MSG_CHUNK, .ref = span_str("r"), .attempt = 1};
	struct pipe *push, *pull;
	struct message m;
	struct chunk c;

	(void)state;
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PULL, &pull), 0);
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PUSH, &push), 0);
	for (size_t i = 0; i < LEN(lens); i++) {
		assert_int_equal(pipe_chunk_new(push, &head, CHUNK_PAYLOAD_MAX, &c), 0);
		memset(c.payload, (int)i + 1, lens[i]);
		c.payload_len = lens[i];
		wait_for(pipe_send_fd(push));
		assert_int_equal(pipe_chunk_send(push, &c), 0);
		assert_null(c.msg);
		receive(pull, &m);
		assert_int_equal(m.payload.len, lens[i]);
		for (size_t at = 0; at < lens[i]; at++)
			assert_int_equal(m.payload.data[at], i + 1);
	}
	pipe_chunk_free(&c); /* empty: nothing happens */
	pipe_close(push);
	pipe_close(pull);
}

/* Everything is written in the version that the peer has, except what all versions read. */
static void test_versions(void **state)
{
	static const uint8_t versions[] = {0, WIRE_VERSION_MIN, WIRE_VERSION};
	struct message head = {.type = MSG_CHUNK, .ref = span_str("r"), .attempt = 1};
	struct message cancel = {.type = MSG_CANCEL, .ref = span_str("r"), .protocol = 77};
	struct pipe *push, *pull;
	struct message m;
	struct chunk c;

	(void)state;
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PULL, &pull), 0);
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PUSH, &push), 0);
	for (size_t i = 0; i < LEN(versions); i++) {
		uint8_t want = versions[i] ? versions[i] : WIRE_VERSION;
		pipe_speak(push, versions[i]);
		wait_for(pipe_send_fd(push));
		assert_int_equal(pipe_send(push, &cancel), 0);
		receive(pull, &m);
		assert_int_equal(m.protocol, want);
		assert_int_equal(pipe_send(push, &hello), 0);
		receive(pull, &m);
		assert_int_equal(m.protocol, WIRE_VERSION_KEPT);
		assert_int_equal(pipe_chunk_new(push, &head, 1, &c), 0);
		*c.payload = 'p';
		c.payload_len = 1;
		assert_int_equal(pipe_chunk_send(push, &c), 0);
		receive(pull, &m);
		assert_int_equal(m.type, MSG_CHUNK);
		assert_int_equal(m.protocol, want);
	}
	pipe_close(push);
	pipe_close(pull);
}

/* A restarted binder is found again, and replaces the socket of its dead predecessor. */
static void test_reconnect(void **state)
{
	struct pipe *push, *pull;
	struct message m;

	(void)state;
	unit_write_text(&dir, "seals", ""); /* something stale in its place */
	assert_int_equal(pipe_open(dir.path, PIPE_SEALS, PIPE_PUSH, &push), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pipe_open(dir.path, PIPE_SEALS, PIPE_PULL, &pull), 0);
		do
			wait_for(pipe_send_fd(push));
		while (pipe_send(push, &hello) == -EAGAIN);
		receive(pull, &m);
		assert_int_equal(pipe_losses(push), i);
		pipe_close(pull);
		while (pipe_losses(push) == (uint64_t)i) /* nanomsg's own thread notices it, without an event */
			(void)poll(NULL, 0, 1);
	}
	pipe_close(push);
}

static void test_bad_message(void **state)
{
	char address[DIR_PATH_SIZE + 32];
	enum decode_verdict verdict;
	struct pipe *pull;
	struct message m;
	int r;

	(void)state;
	assert_int_equal(pipe_open(dir.path, PIPE_CHUNKS, PIPE_PULL, &pull), 0);
	int raw = nn_socket(AF_SP, NN_PUSH);
	(void)snprintf(address, sizeof(address), "ipc://%s/fetch/chunks", dir.path);
	assert_true(nn_connect(raw, address) >= 0);
	assert_int_equal(nn_send(raw, "garbage", 7, 0), 7);
	do {
		wait_for(pipe_receive_fd(pull));
		r = pipe_receive(pull, &m, &verdict);
	} while (r == -EAGAIN);
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(verdict, DECODE_MAGIC);
	(void)nn_close(raw);
	pipe_close(pull);
}

/* The binder creates the directory of its socket, for its user only. One that others can write in is refused. */
static void test_directories(void **state)
{
	static const struct {
		enum pipe_name name;
		enum pipe_end binder, other;
		const char *dir, *socket;
	} rows[] = {
	    {PIPE_ORDERS, PIPE_PUSH, PIPE_PULL, "fetch", "fetch/orders"},
	    {PIPE_CHUNKS, PIPE_PULL, PIPE_PUSH, "fetch", "fetch/chunks"},
	    {PIPE_SEALS, PIPE_PULL, PIPE_PUSH, "seal", "seal/seals"},
	    {PIPE_RECEIPTS, PIPE_PUSH, PIPE_PULL, "seal", "seal/receipts"},
	};
	struct pipe *p;
	struct stat st;

	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		assert_int_equal(pipe_open(dir.path, rows[i].name, rows[i].other, &p), 0);
		assert_true(pipe_connects(p));
		pipe_close(p);
		assert_false(unit_exists(&dir, rows[i].dir)); /* only the binder creates it */
		assert_int_equal(pipe_open(dir.path, rows[i].name, rows[i].binder, &p), 0);
		assert_false(pipe_connects(p));
		assert_int_equal(fstatat(dir.fd, rows[i].dir, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0700);
		assert_int_equal(fstatat(dir.fd, rows[i].socket, &st, 0), 0);
		assert_int_equal(st.st_mode & 07777, 0660);
		pipe_close(p);
		assert_int_equal(fchmodat(dir.fd, rows[i].dir, 0770, 0), 0);
		assert_int_equal(pipe_open(dir.path, rows[i].name, rows[i].binder, &p), -EPERM);
		assert_int_equal(unlinkat(dir.fd, rows[i].dir, AT_REMOVEDIR), 0);
	}
}

/* The longest directory that fits, and one byte more. */
static void test_path_limit(void **state)
{
	char path[sizeof(((struct sockaddr_un *)0)->sun_path) + 1];
	size_t fits = sizeof(((struct sockaddr_un *)0)->sun_path) - 1 - strlen("/fetch/orders");
	int start = snprintf(path, sizeof(path), "%s/", dir.path);
	struct pipe *p;

	(void)state;
	memset(path + start, 'd', sizeof(path) - (size_t)start);
	path[fits + 1] = '\0';
	assert_int_equal(pipe_open(path, PIPE_ORDERS, PIPE_PUSH, &p), -ENAMETOOLONG);
	path[fits] = '\0';
	assert_int_equal(mkdir(path, 0755), 0);
	assert_int_equal(pipe_open(path, PIPE_ORDERS, PIPE_PUSH, &p), 0);
	pipe_close(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_send_receive, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_renew, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_chunks, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_versions, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_reconnect, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_bad_message, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_directories, unit_dir_set_up, unit_dir_tear_down),
	    cmocka_unit_test_setup_teardown(test_path_limit, unit_dir_set_up, unit_dir_tear_down),
	};
	return cmocka_run_group_tests_name("pipe", tests, NULL, NULL);
}
