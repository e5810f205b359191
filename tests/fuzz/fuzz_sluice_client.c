/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a command makes of the answers and events of a stage that says anything: it ends, calls nothing stored that is
 * not, requests nothing but what it was told to, and shows nothing that a terminal would take for a command. An input
 * is lines:
 *
 *   >PACKET   the next thing to arrive (packet.h), on whatever connection is read
 *   ~         nothing comes in time
 *   !         the connection breaks
 *   i         it breaks, and the stage is another one from here on
 *   s         the content is in the store from here on
 *   S         something of another size is there in its place
 *   h         as the first line: the command takes a lease
 */

/* Tests */
#include "tests/fuzz/packet.h"
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/unit_dir.h"

/* System */
#include <poll.h>
#include <sys/mman.h>

/* OCI */
#include "common/oci/json.h"

/* What is replaced */
#include "common/wire/ctl_client.h"

/* The code under test */
#include "sluice/run/counts.h"
#include "sluice/run/wait.h"
#include "sluice/show/status.h"

#define CALLS_MAX   100000u
#define CALL_MS     10u
#define PATIENCE_MS 5000u
#define CONTENT     "content"
#define TAG         "manifest://localhost/a:1"
#define OUT_MAX     (1u << 20)

/* ── the stage, as the client sees it: in place of common/wire/ctl_client.c ── */

struct ctl_client {
	struct packet packet; /* of this connection, so that the sanitizer sees who looks into a closed one */
};

static struct {
	struct span rest;
	uint64_t incarnation;
	unsigned calls;
} stage;

static char digest_text[DIGEST_TEXT_SIZE];

static void store_as_content(const char *text)
{
	char name[FILE_PATH_SIZE];

	(void)snprintf(name, sizeof(name), "store/blobs/sha256/%s", strchr(digest_text, ':') + 1);
	unit_write_text(&dir, name, text);
}

static void note_call(unsigned ms)
{
	FUZZ_CHECK(++stage.calls < CALLS_MAX);
	stand_in_clock_set(clock_mono_ms() + ms);
}

/* Shown as `status`, `events` and `stats` show it. */
static void check_shown(const struct message *m)
{
	uint64_t values[COUNTERS];
	struct status s;
	AUTO_BUF text = BUF_INIT;
	size_t len;

	if (m->type == MSG_COUNTS) {
		memset(values, 0xA5, sizeof(values));
		counters_decode((enum stage_id)m->stage, m->counts, values);
		enum counter first = counters_of((enum stage_id)m->stage, &len);
		for (size_t i = 0; i < COUNTERS; i++)
			FUZZ_CHECK((i >= first && i < first + len) || values[i] == UINT64_C(0xA5A5A5A5A5A5A5A5));
	}
	if (m->type != MSG_RECORD)
		return;
	status_of_message(m, &s);
	FUZZ_CHECK(span_eq(m->ref, span_str(s.ref)) && span_eq(m->text, span_str(s.text)));
	AUTO_JSON object = status_json(&s);
	if (object && json_format(object, &text) == 0)
		for (size_t i = 0; i < text.len; i++)
			FUZZ_CHECK((unsigned char)text.data[i] >= ' ' && text.data[i] != 0x7f);
}

/* Take the next line that is about a message. */
static int next_message(struct ctl_client *c, int nothing, struct message *ret_message)
{
	note_call(CALL_MS);
	while (stage.rest.len > 0) {
		struct span line = fuzz_until(&stage.rest, '\n');
		uint8_t what = line.len > 0 ? line.data[0] : 0;
		if (what == 's' || what == 'S')
			store_as_content(what == 's' ? CONTENT : "damage");
		if (what == '~')
			return nothing;
		stage.incarnation += what == 'i';
		if (what == '!' || what == 'i')
			return -EPIPE;
		if (what != '>')
			continue;
		packet_of_line(span_of(line.data + 1, line.len - 1), &c->packet);
		if (c->packet.len > MESSAGE_HEAD_MAX ||
		    message_decode(span_of(c->packet.bytes, c->packet.len), ret_message) != DECODE_OK)
			return -EBADMSG;
		check_shown(ret_message);
		return 0;
	}
	return -EPIPE;
}

void ctl_disconnect(struct ctl_client *c)
{
	free(c);
}

int ctl_client_fd(const struct ctl_client *c)
{
	(void)c;
	return STDIN_FILENO;
}

/* Nothing sleeps here: the time passes. */
int poll(struct pollfd *fds, nfds_t count, int timeout_ms)
{
	(void)fds;
	(void)count;
	note_call((unsigned)timeout_ms);
	return 0;
}

static void check_request(const struct message *m)
{
	static uint8_t bytes[MESSAGE_HEAD_MAX];
	struct message same;

	FUZZ_CHECK(message_decode(span_of(bytes, message_encode_head(m, bytes)), &same) == DECODE_OK);
	FUZZ_CHECK(m->type == MSG_GET || m->type == MSG_STATUS || m->type == MSG_SUBSCRIBE || m->type == MSG_STATS ||
		   m->type == MSG_LEASE || m->type == MSG_RELEASE || m->type == MSG_CHECK);
	if (m->type != MSG_GET)
		return;
	FUZZ_CHECK(span_eq(m->ref, span_str(digest_text)) || span_eq(m->ref, span_str(TAG)));
	FUZZ_CHECK(m->expected.len == 0 || span_eq(m->expected, m->ref));
}

int ctl_send(struct ctl_client *c, const struct message *request, unsigned timeout_ms)
{
	(void)c;
	(void)timeout_ms;
	check_request(request);
	return 0;
}

int ctl_await(struct ctl_client *c, unsigned timeout_ms, struct message *ret_answer)
{
	int r = next_message(c, -ETIMEDOUT, ret_answer);
	if (r == -ETIMEDOUT)
		note_call(timeout_ms);
	return r;
}

int ctl_ask(struct ctl_client *c, const struct message *request, unsigned timeout_ms, struct message *ret_answer)
{
	check_request(request);
	return ctl_await(c, timeout_ms, ret_answer);
}

int ctl_receive(struct ctl_client *c, unsigned timeout_ms, struct message *ret_event)
{
	int r = next_message(c, -EAGAIN, ret_event);
	if (r == -EAGAIN)
		note_call(timeout_ms);
	return r;
}

int ctl_ping(struct ctl_client *c, enum stage_id to, unsigned timeout_ms, struct message *ret_pong, struct reason *why)
{
	struct stat st;
	(void)c;
	(void)to;
	(void)timeout_ms;
	reason_set(why, "it is gone");
	if (stage.rest.len == 0)
		return -EPIPE;
	FUZZ_CHECK(fstatat(dir.fd, "store", &st, 0) == 0);
	*ret_pong =
	    (struct message){.type = MSG_PONG, .incarnation = stage.incarnation, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
}

int ctl_open(const char *runtime_dir, enum stage_id to, unsigned timeout_ms, struct ctl_client **ret_client,
	     struct message *ret_pong, struct reason *why)
{
	(void)runtime_dir;
	note_call(0);
	if (stage.rest.len == 0) {
		reason_set(why, "it does not run");
		return -ECONNREFUSED;
	}
	struct ctl_client *c = calloc(1, sizeof(*c));
	FUZZ_CHECK(c && ctl_ping(c, to, timeout_ms, ret_pong, why) == 0);
	*ret_client = c;
	return 0;
}

/* ── a command ── */

static void add_blob(struct wait *w, bool by_tag)
{
	char source[] = TAG;
	struct blob like = {.ref = by_tag ? source : digest_text,
			    .source = source,
			    .content = {.size = by_tag ? SIZE_UNKNOWN : strlen(CONTENT)},
			    .digest = by_tag ? BLOB_DIGEST_UNKNOWN : BLOB_DIGEST_GIVEN};
	size_t number;

	if (!by_tag)
		FUZZ_CHECK(digest_parse(span_str(digest_text), &like.content.digest, NULL) == 0);
	FUZZ_CHECK(wait_add(w, &like, &number) == 0);
}

static int on_stored(void *self, struct wait *w, size_t number, struct reason *why)
{
	uint64_t size;
	(void)why;
	FUZZ_CHECK(layout_blob_size(self, &wait_at(w, number)->content.digest, &size) == 0);
	FUZZ_CHECK(size == wait_at(w, number)->content.size);
	return 0;
}

static void check_end(const struct wait *w, int code, const struct reason *why)
{
	FUZZ_CHECK(code == 0 || why->text[0] != '\0');
	for (size_t i = 0; i < wait_len(w); i++) {
		const struct blob *b = wait_at(w, i);
		char digest[DIGEST_TEXT_SIZE];
		FUZZ_CHECK(code != 0 || b->state == BLOB_DONE || b->state == BLOB_FAILED);
		FUZZ_CHECK(b->state != BLOB_FAILED || b->why);
		if (b->digest != BLOB_DIGEST_GIVEN)
			continue;
		digest_format(&b->content.digest, digest);
		FUZZ_CHECK(strcmp(digest, digest_text) == 0);
	}
}

static void run_command(struct layout *l, enum progress_mode mode)
{
	const struct wait_hooks hooks = {.stored = on_stored, .self = l};
	char path[FILE_PATH_SIZE];
	const struct client_options options = {
	    .runtime_dir = "", .store = unit_path(&dir, "store", path), .patience_ms = PATIENCE_MS};
	struct client *client;
	struct progress *progress;
	struct hold *hold = NULL;
	struct wait *w;
	struct reason why = {""};

	if (client_open(&options, &client, &why) != 0)
		return;
	FUZZ_CHECK(progress_new(mode, &progress) == 0);
	FUZZ_CHECK(wait_new(client, l, progress, &hooks, &w) == 0);
	if (stage.rest.len > 0 && stage.rest.data[0] == 'h') {
		FUZZ_CHECK(hold_new(client, "pull a", 60, &hold) == 0);
		wait_use_hold(w, hold);
	}
	add_blob(w, false);
	add_blob(w, true);
	int code = wait_run(w, &why);
	check_end(w, code, &why);
	if (hold)
		hold_release(hold);
	wait_free(w);
	hold_free(hold);
	progress_free(progress);
	client_close(client);
}

/* What was printed: lines without control bytes. */
static void check_printed(int fd)
{
	static char text[OUT_MAX];
	ssize_t n = pread(fd, text, sizeof(text), 0);

	FUZZ_CHECK(n >= 0);
	for (ssize_t i = 0; i < n; i++)
		FUZZ_CHECK(text[i] == '\n' || ((unsigned char)text[i] >= ' ' && text[i] != 0x7f));
}

static struct layout *make_store(void)
{
	struct layout *l;
	struct digest d;
	struct reason why;
	char path[FILE_PATH_SIZE];

	unit_dir_make(&dir);
	FUZZ_CHECK(mkdirat(dir.fd, "store", 0755) == 0 && mkdirat(dir.fd, "store/blobs", 0755) == 0);
	FUZZ_CHECK(mkdirat(dir.fd, "store/blobs/sha256", 0755) == 0);
	unit_write_text(&dir, "store/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	FUZZ_CHECK(layout_open(unit_path(&dir, "store", path), LAYOUT_READER, &l, &why) == 0);
	digest_of(HASH_SHA256, CONTENT, strlen(CONTENT), &d);
	digest_format(&d, digest_text);
	return l;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct layout *l = make_store();
	int printed = memfd_create("printed", MFD_CLOEXEC), saved = dup(STDOUT_FILENO);

	FUZZ_CHECK(printed >= 0 && saved >= 0 && dup2(printed, STDOUT_FILENO) >= 0);
	stage.rest = span_of(data, len);
	stage.incarnation = 7;
	stage.calls = 0;
	stand_in_clock_set(1000000);
	run_command(l, len % 2 == 0 ? PROGRESS_LINES : PROGRESS_JSON);
	(void)dup2(saved, STDOUT_FILENO);
	check_printed(printed);
	stand_in_clock_release();
	(void)close(saved);
	(void)close(printed);
	layout_free(l);
	unit_dir_remove(&dir);
	return 0;
}
