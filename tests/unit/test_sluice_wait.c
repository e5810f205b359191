/*
 * What a waiting command does when ingestd answers this or that. The stages are played by a child process that follows
 * a script: one line for each GET and STATUS in its order. It is forked while no socket is open, since nanomsg's thread
 * does not survive that.
 */

/* Own */
#include "tests/unit/unit.h"

/* System */
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <sysexits.h>

/* The code under test */
#include "sluice/run/wait.h"

#define CONTENT   "content"
#define STEPS_MAX 8
#define GUARD_S   20

enum play {
	PLAY_END, /* and whatever is asked beyond the script is answered as the last step was */
	PLAY_FETCHING,
	PLAY_STORE,      /* COMMITTED, and it is */
	PLAY_LIE,        /* COMMITTED, and nothing is stored */
	PLAY_STORE_LOST, /* stored, and the transfer is not known any more */
	PLAY_FAILED,
	PLAY_UNASKED,    /* WAITING for a request */
	PLAY_SPACE,      /* WAITING for something else */
	PLAY_LOST,       /* not found */
	PLAY_REFUSE,     /* ERROR, usage */
	PLAY_REBORN,     /* not found, and another incarnation from here on */
	PLAY_TAKEN_OVER, /* FETCHING, and another incarnation from here on */
};

struct step {
	enum message_type asked;
	enum play play;
};

static const struct row {
	const char *name;
	bool by_tag; /* the digest is learned */
	struct step steps[STEPS_MAX];
	enum want_state want;
	enum fail_class want_class;
	const char *text;
} rows[] = {
    {"stored at once", false, {{MSG_GET, PLAY_STORE}}, WANT_DONE, FAIL_NONE, NULL},
    {"stored after a while",
     false,
     {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_FETCHING}, {MSG_STATUS, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"stored and forgotten",
     false,
     {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_STORE_LOST}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"by tag", true, {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_STORE}}, WANT_DONE, FAIL_NONE, NULL},
    {"by tag, and too late to hear its digest",
     true,
     {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_LOST}, {MSG_GET, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"by tag, and never available",
     true,
     {{MSG_GET, PLAY_FETCHING},
      {MSG_STATUS, PLAY_LOST},
      {MSG_GET, PLAY_FETCHING},
      {MSG_STATUS, PLAY_LOST},
      {MSG_GET, PLAY_FETCHING},
      {MSG_STATUS, PLAY_LOST}},
     WANT_FAILED,
     FAIL_AGAIN,
     "aborted"},
    {"committed, it says, and it is not: asked again",
     false,
     {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_LIE}, {MSG_GET, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"failed", false, {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_FAILED}}, WANT_FAILED, FAIL_NOT_FOUND, "no such"},
    {"refused", false, {{MSG_GET, PLAY_REFUSE}}, WANT_FAILED, FAIL_USAGE, "not like this"},
    {"waits, then comes",
     false,
     {{MSG_GET, PLAY_SPACE}, {MSG_STATUS, PLAY_SPACE}, {MSG_STATUS, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"idle until it is requested",
     false,
     {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_UNASKED}, {MSG_GET, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"aborted", false, {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_LOST}}, WANT_FAILED, FAIL_AGAIN, "aborted"},
    {"lost with its ingestd: asked again",
     false,
     {{MSG_GET, PLAY_FETCHING}, {MSG_STATUS, PLAY_REBORN}, {MSG_GET, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
    {"resumed by another ingestd: not requested again",
     true,
     {{MSG_GET, PLAY_FETCHING},
      {MSG_STATUS, PLAY_TAKEN_OVER},
      {MSG_STATUS, PLAY_FETCHING},
      {MSG_STATUS, PLAY_FETCHING},
      {MSG_STATUS, PLAY_FETCHING},
      {MSG_STATUS, PLAY_FETCHING},
      {MSG_STATUS, PLAY_STORE}},
     WANT_DONE,
     FAIL_NONE,
     NULL},
};

/* ── the stages ── */

struct stage {
	const struct unit_dir *dir;
	const struct row *row;
	struct pipe *ingest, *commit, *events;
	size_t at;
	uint64_t incarnation;
	char digest[DIGEST_TEXT_SIZE];
};

static void content_digest(struct digest *d)
{
	digest_of(HASH_SHA256, CONTENT, strlen(CONTENT), d);
}

static void store_it(const struct stage *s)
{
	char name[FILE_PATH_SIZE];
	(void)snprintf(name, sizeof(name), "store/blobs/sha256/%s", strchr(s->digest, ':') + 1);
	unit_write_text(s->dir, name, CONTENT);
}

static void answer_pong(const struct stage *s, struct pipe *p)
{
	struct stat st;
	struct message m = {
	    .type = MSG_PONG, .incarnation = s->incarnation, .version = span_str("1"), .text = span_str("store")};
	assert_int_equal(fstatat(s->dir->fd, "store", &st, 0), 0);
	m.dev = st.st_dev;
	m.ino = st.st_ino;
	assert_int_equal(pipe_send(p, &m), 0);
}

static void answer_error(const struct stage *s, enum fail_class c, const char *text)
{
	const struct message m = {.type = MSG_ERROR, .fail_class = (uint8_t)c, .text = span_str(text)};
	assert_int_equal(pipe_send(s->ingest, &m), 0);
}

static void answer_record(const struct stage *s, struct span ref, enum transfer_state state, const char *text)
{
	struct message m = {
	    .type = MSG_RECORD,
	    .ref = ref,
	    .state = (uint8_t)state,
	    .size = strlen(CONTENT),
	    .text = span_str(text),
	    .started_s = 1,
	    .updated_s = 1,
	};
	if (state == TRANSFER_COMMITTED) {
		m.digest = span_str(s->digest);
		m.offset = m.size;
	}
	if (state == TRANSFER_FAILED)
		m.fail_class = FAIL_NOT_FOUND;
	assert_int_equal(pipe_send(s->ingest, &m), 0);
}

static void play(struct stage *s, enum play what, struct span ref)
{
	char kept[REF_MAX + 1];

	(void)snprintf(kept, sizeof(kept), "%.*s", SPAN_ARG(ref));
	ref = span_str(kept);
	if (what == PLAY_STORE || what == PLAY_STORE_LOST)
		store_it(s);
	if (what == PLAY_REBORN || what == PLAY_TAKEN_OVER)
		s->incarnation++;
	if (what == PLAY_FETCHING || what == PLAY_TAKEN_OVER)
		answer_record(s, ref, TRANSFER_FETCHING, "");
	else if (what == PLAY_STORE || what == PLAY_LIE)
		answer_record(s, ref, TRANSFER_COMMITTED, "");
	else if (what == PLAY_FAILED)
		answer_record(s, ref, TRANSFER_FAILED, "no such thing");
	else if (what == PLAY_UNASKED)
		answer_record(s, ref, TRANSFER_WAITING, TRANSFER_UNASKED);
	else if (what == PLAY_SPACE)
		answer_record(s, ref, TRANSFER_WAITING, "for space");
	else if (what == PLAY_REFUSE)
		answer_error(s, FAIL_USAGE, "not like this");
	else
		answer_error(s, FAIL_NOT_FOUND, "no such transfer");
}

static void take(struct stage *s, struct pipe *p)
{
	struct message m;

	if (pipe_receive(p, &m, NULL) < 0)
		return;
	if (m.type == MSG_PING) {
		answer_pong(s, p);
		return;
	}
	const struct step *step = &s->row->steps[s->at];
	/* A script that is not followed is told to the parent by a refusal that no row expects. */
	if (step->play == PLAY_END || step->asked != m.type) {
		answer_error(s, FAIL_IO, message_name(m.type));
		return;
	}
	s->at++;
	play(s, step->play, m.ref);
}

_Noreturn static void serve(const struct unit_dir *dir, const struct row *row)
{
	struct stage s = {.dir = dir, .row = row, .incarnation = 7};
	struct digest d;

	(void)alarm(GUARD_S);
	content_digest(&d);
	digest_format(&d, s.digest);
	assert_int_equal(pipe_open(dir->path, PIPE_INGEST_CTL, PIPE_REPLY, &s.ingest), 0);
	assert_int_equal(pipe_open(dir->path, PIPE_COMMIT_CTL, PIPE_REPLY, &s.commit), 0);
	assert_int_equal(pipe_open(dir->path, PIPE_INGEST_EVENTS, PIPE_PUBLISH, &s.events), 0);
	for (;;) {
		struct pollfd fds[] = {{.fd = pipe_receive_fd(s.ingest), .events = POLLIN},
				       {.fd = pipe_receive_fd(s.commit), .events = POLLIN}};
		(void)poll(fds, LEN(fds), -1);
		if (fds[0].revents)
			take(&s, s.ingest);
		if (fds[1].revents)
			take(&s, s.commit);
	}
}

/* ── the waiting ── */

static int count_done(void *self, struct wait *w, size_t number, struct reason *why)
{
	(void)w;
	(void)number;
	(void)why;
	++*(unsigned *)self;
	return 0;
}

static void make_store(const struct unit_dir *d)
{
	assert_int_equal(mkdirat(d->fd, "store", 0755), 0);
	assert_int_equal(mkdirat(d->fd, "store/blobs", 0755), 0);
	assert_int_equal(mkdirat(d->fd, "store/blobs/sha256", 0755), 0);
	unit_write_text(d, "store/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
}

static void want_it(struct wait *w, const struct row *row)
{
	char ref[DIGEST_TEXT_SIZE], source[] = "manifest://localhost/a:1";
	struct want like = {.source = source, .size = SIZE_UNKNOWN, .has_digest = !row->by_tag};
	size_t number;

	content_digest(&like.digest);
	digest_format(&like.digest, ref);
	like.ref = row->by_tag ? source : ref;
	assert_int_equal(wait_add(w, &like, &number), 0);
	assert_int_equal(wait_add(w, &like, &number), 1); /* the same again */
	assert_int_equal(wait_len(w), 1);
}

static void wait_for_it(const struct unit_dir *d, const struct row *row)
{
	char store[FILE_PATH_SIZE];
	struct client *c;
	struct layout *l;
	struct progress *p;
	struct wait *w;
	struct reason why = {""};
	unsigned done = 0;
	const struct wait_hooks hooks = {.done = count_done, .self = &done};
	const struct client_options how = {
	    .runtime_dir = d->path, .store = unit_path(d, "store", store), .patience_ms = CLIENT_PATIENCE_MS};

	assert_int_equal(client_open(&how, &c, &why), 0);
	assert_int_equal(layout_open(store, LAYOUT_READER, &l, &why), 0);
	assert_int_equal(progress_new(PROGRESS_NONE, &p), 0);
	assert_int_equal(wait_new(c, l, p, &hooks, &w), 0);
	want_it(w, row);
	int code = wait_run(w, &why);
	const struct want *x = wait_at(w, 0);
	if (code != 0 || x->state != row->want || x->fail_class != row->want_class || done != (x->state == WANT_DONE))
		fail_msg("%s: %d, state %d, class %d: %s%s", row->name, code, (int)x->state, (int)x->fail_class,
			 why.text, x->why ? x->why : "");
	if (row->text)
		assert_non_null(strstr(x->why, row->text));
	wait_free(w);
	progress_free(p);
	layout_free(l);
	client_close(c);
}

static void test_scripts(void **state)
{
	const struct row *row;
	(void)state;
	for_each_row(row, rows)
	{
		struct unit_dir d;
		unit_dir_make(&d);
		make_store(&d);
		pid_t stage = fork();
		if (stage == 0)
			serve(&d, row);
		assert_true(stage > 0);
		wait_for_it(&d, row);
		assert_int_equal(kill(stage, SIGKILL), 0);
		assert_int_equal(waitpid(stage, NULL, 0), stage);
		unit_dir_remove(&d);
	}
}

/* The daemons of another store on our pipes. */
static void test_another_store(void **state)
{
	struct unit_dir d;
	struct client *c;
	struct reason why = {""};
	(void)state;
	unit_dir_make(&d);
	make_store(&d);
	pid_t stage = fork();
	if (stage == 0)
		serve(&d, &rows[0]);
	const struct client_options how = {
	    .runtime_dir = d.path, .store = "/somewhere/else", .patience_ms = CLIENT_PATIENCE_MS};
	assert_int_equal(client_open(&how, &c, &why), EX_CONFIG);
	assert_non_null(strstr(why.text, "/somewhere/else"));
	assert_int_equal(kill(stage, SIGKILL), 0);
	assert_int_equal(waitpid(stage, NULL, 0), stage);
	unit_dir_remove(&d);
}

static void test_nobody_answers(void **state)
{
	struct unit_dir d;
	struct client *c;
	struct reason why = {""};
	(void)state;
	unit_dir_make(&d);
	const struct client_options how = {.runtime_dir = d.path, .store = d.path, .patience_ms = 300};
	assert_int_equal(client_open(&how, &c, &why), EX_TEMPFAIL);
	assert_non_null(strstr(why.text, "ingestd"));
	unit_dir_remove(&d);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scripts),
	    cmocka_unit_test(test_another_store),
	    cmocka_unit_test(test_nobody_answers),
	};
	return cmocka_run_group_tests_name("sluice wait", tests, NULL, NULL);
}
