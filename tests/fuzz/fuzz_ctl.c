/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stage's ctl socket, with real sockets: each request is answered once and in order, what is not a request ends its
 * own connection and no other, and a client hears the events that it subscribed to and no others. An input is lines of
 * a client's letter and what it does, or what the stage does:
 *
 *   a>PACKET   a sends this (packet.h), and connects first if it has to
 *   ax         a disconnects
 *   eREF       an event about REF
 *   h          the stage holds its answers back from here on
 *   r          it gives the answers that it held back
 */

/* System */
#include <ftw.h>
#include <sys/socket.h>
#include <unistd.h>

/* Base */
#include "common/base/cleanup.h"
#include "common/base/log.h"

/* Tests */
#include "tests/fuzz/packet.h"

/* The code under test */
#include "common/wire/ctl.h"

#define CLIENTS 4
#define WITNESS CLIENTS /* it is none of the input's */
#define LINES   64
#define TURNS   3 /* to take a connection, and a request */

/* What we know of a client. */
static struct client {
	int fd;      /* -1: it is not connected */
	bool waits;  /* for an answer that the stage holds back */
	bool is_all; /* it subscribed to everything */
	size_t len;
	char refs[LINES][REF_MAX + 1];
} clients[CLIENTS + 1];

static char place[FUZZ_PLACE_SIZE];
static struct loop *loop;
static struct stage_self self;
static struct ctl *ctl;

/* What the stage does and has seen. */
static struct {
	bool holds;
	size_t held_len;
	uint64_t held[LINES + 2]; /* each line and each request of the witness may be one; some clients are gone */
	unsigned requests;
	enum message_type last;
} stage;

static void on_request(void *unused, const struct ctl_asker *who, const struct message *m)
{
	(void)unused;
	stage.requests++;
	stage.last = m->type;
	FUZZ_CHECK(who->uid == geteuid());
	if (!stage.holds) {
		ctl_answer(ctl, who->client, &(struct message){.type = MSG_OK});
		return;
	}
	for (size_t i = 0; i < stage.held_len; i++)
		FUZZ_CHECK(stage.held[i] != who->client); /* one at a time */
	stage.held[stage.held_len++] = who->client;
}

static void on_describe(void *unused, struct message *pong)
{
	(void)unused;
	pong->text = span_str("/the/store");
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static void end_stage(void)
{
	for (size_t i = 0; i <= CLIENTS; i++)
		clients[i].fd = close_fd(clients[i].fd);
	ctl_free(ctl);
	loop_free(loop);
	(void)nftw(place, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void begin_stage(void)
{
	static const struct ctl_hooks hooks = {.request = on_request, .describe = on_describe};
	struct reason why;

	log_set_level(LOG_LEVEL_ERROR);
	fuzz_place(place);
	FUZZ_CHECK(loop_new(&loop) == 0);
	stage_self_init(&self, STAGE_COMMITD);
	const struct ctl_env env = {.loop = loop,
				    .runtime_dir = place,
				    .identity = &self,
				    .refused = COUNT_REFUSED_COMMIT_CTL,
				    .hooks = &hooks};
	FUZZ_CHECK(ctl_new(&env, &ctl, &why) == 0);
	for (size_t i = 0; i <= CLIENTS; i++)
		clients[i].fd = -1;
	FUZZ_CHECK(atexit(end_stage) == 0);
}

static void settle(void)
{
	for (unsigned i = 0; i < TURNS; i++)
		loop_turn(loop, false);
}

static void leave(struct client *cl)
{
	cl->fd = close_fd(cl->fd);
	cl->waits = cl->is_all = false;
	cl->len = 0;
}

static void join(struct client *cl)
{
	struct sockaddr_un address;

	FUZZ_CHECK(stage_ctl_address(place, STAGE_COMMITD, &address) == 0);
	cl->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	FUZZ_CHECK(cl->fd >= 0 && connect(cl->fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
	settle();
}

/* The next message to a client is of this type. */
static void hears(struct client *cl, enum message_type type, struct message *ret_message)
{
	static uint8_t bytes[MESSAGE_HEAD_MAX];
	ssize_t n = recv(cl->fd, bytes, sizeof(bytes), MSG_TRUNC);

	FUZZ_CHECK(n > 0 && (size_t)n <= sizeof(bytes));
	FUZZ_CHECK(message_decode(span_of(bytes, (size_t)n), ret_message) == DECODE_OK);
	FUZZ_CHECK(ret_message->type == type);
}

static void hears_nothing(const struct client *cl)
{
	uint8_t byte;
	FUZZ_CHECK(recv(cl->fd, &byte, 1, 0) < 0);
}

/* It is told why, if it said anything, and disconnected. */
static void is_dismissed(struct client *cl, bool is_told)
{
	struct message m;
	uint8_t byte;

	if (is_told) {
		hears(cl, MSG_ERROR, &m);
		FUZZ_CHECK(m.fail_class == FAIL_USAGE && m.text.len > 0);
	}
	FUZZ_CHECK(recv(cl->fd, &byte, 1, 0) == 0);
	leave(cl);
}

static bool follows(const struct client *cl, struct span ref)
{
	bool found = cl->is_all;

	for (size_t i = 0; !found && i < cl->len; i++)
		found = span_eq(span_str(cl->refs[i]), ref);
	return found;
}

static void follow(struct client *cl, struct span ref)
{
	cl->is_all = cl->is_all || ref.len == 0;
	if (ref.len > 0)
		(void)snprintf(cl->refs[cl->len++], sizeof(cl->refs[0]), "%.*s", SPAN_ARG(ref));
}

/* A whole message: what it is answered by. */
static void is_answered(struct client *cl, const struct message *m, unsigned requests_before)
{
	struct message answer;
	struct reason words;

	if (m->type == MSG_PING && stage_talk_of(m, "a", "b", &words) == TALK_OTHER) {
		is_dismissed(cl, true);
		return;
	}
	FUZZ_CHECK(stage.requests == requests_before + (m->type != MSG_PING && m->type != MSG_SUBSCRIBE));
	FUZZ_CHECK(stage.requests == requests_before || stage.last == m->type);
	cl->waits = stage.requests > requests_before && stage.holds;
	if (!cl->waits)
		hears(cl, m->type == MSG_PING ? MSG_PONG : MSG_OK, &answer);
	if (m->type == MSG_PING)
		FUZZ_CHECK(answer.incarnation == self.incarnation && span_eq(answer.text, span_str("/the/store")));
	if (m->type == MSG_SUBSCRIBE)
		follow(cl, m->ref);
	hears_nothing(cl);
}

static void client_sends(struct client *cl, const struct packet *p)
{
	uint64_t refused = counter_values[COUNT_REFUSED_COMMIT_CTL];
	unsigned requests = stage.requests;
	struct message m;

	if (cl->waits)
		return;
	if (cl->fd < 0)
		join(cl);
	FUZZ_CHECK(send(cl->fd, p->bytes, p->len, MSG_NOSIGNAL) == (ssize_t)p->len);
	settle();
	bool is_message = p->len <= MESSAGE_HEAD_MAX && message_decode(span_of(p->bytes, p->len), &m) == DECODE_OK;
	if (is_message && (m.type == MSG_PING || m.protocol >= WIRE_TALK_MIN)) {
		is_answered(cl, &m, requests);
		return;
	}
	FUZZ_CHECK(stage.requests == requests);
	FUZZ_CHECK(counter_values[COUNT_REFUSED_COMMIT_CTL] == refused + (p->len > 0));
	is_dismissed(cl, p->len > 0);
}

static void event_about(struct span ref)
{
	const struct message event = {.type = MSG_RECORD, .ref = ref, .state = TRANSFER_FETCHING};
	struct message m;

	if (ref.len == 0 || ref.len > REF_MAX)
		return;
	for (size_t i = 0; i < ref.len; i++)
		if (ref.data[i] < ' ' || ref.data[i] == 0x7f)
			return;
	ctl_publish(ctl, ref, &event);
	settle();
	for (size_t i = 0; i <= CLIENTS; i++) {
		struct client *cl = &clients[i];
		if (cl->fd < 0)
			continue;
		if (follows(cl, ref)) {
			hears(cl, MSG_RECORD, &m);
			FUZZ_CHECK(span_eq(m.ref, ref));
		}
		hears_nothing(cl);
	}
}

/* Whoever is still there hears it, and nobody twice. */
static void give_answers(void)
{
	struct message m;

	stage.holds = false;
	for (size_t i = 0; i < stage.held_len; i++) {
		ctl_answer(ctl, stage.held[i], &(struct message){.type = MSG_OK});
		ctl_answer(ctl, stage.held[i], &(struct message){.type = MSG_OK});
	}
	stage.held_len = 0;
	settle();
	for (size_t i = 0; i < CLIENTS; i++) {
		if (clients[i].waits)
			hears(&clients[i], MSG_OK, &m);
		clients[i].waits = false;
	}
}

static void take_line(struct span line)
{
	static struct packet p;
	uint8_t first = line.len > 0 ? line.data[0] : 0;

	if (first == 'e')
		event_about(span_of(line.data + 1, line.len - 1));
	if (first == 'h')
		stage.holds = true;
	if (first == 'r')
		give_answers();
	if (first < 'a' || first >= 'a' + CLIENTS || line.len < 2)
		return;
	struct client *cl = &clients[first - 'a'];
	if (line.data[1] == 'x') {
		leave(cl);
		settle();
	} else if (line.data[1] == '>') {
		packet_of_line(span_of(line.data + 2, line.len - 2), &p);
		client_sends(cl, &p);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct packet everything, status;
	struct span rest = span_of(data, len);
	struct client *witness = &clients[WITNESS];

	if (!ctl)
		begin_stage();
	packet_of_line(span_str("28\t="), &everything);
	packet_of_line(span_str("13\t=ref"), &status);
	client_sends(witness, &everything);
	for (unsigned i = 0; rest.len > 0 && i < LINES; i++)
		take_line(fuzz_until(&rest, '\n'));
	give_answers();
	client_sends(witness, &status);
	for (size_t i = 0; i <= CLIENTS; i++)
		leave(&clients[i]);
	settle();
	return 0;
}
