/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The requests of a waiting command, and how it handles the answers. The stages are a script with one step for each GET
 * and STATUS in order. A stand-in for the client plays it, on a clock that moves only while the command waits. Longer
 * than 500 lines because script and player belong together.
 */

/* Own */
#include "tests/unit/stand_in_clock.h"
#include "tests/unit/unit_dir.h"

/* System */
#include <signal.h>
#include <sysexits.h>

/* The code under test */
#include "sluice/run/interrupt.h"
#include "sluice/run/wait.h"

#define CONTENT    "content"
#define STEPS_MAX  8
#define LOOP_GUARD 100000u /* calls of the client in one test */
#define LOOKS      3
#define NEWS_MS    1500u /* until an event reports progress */

enum play {
	PLAY_END,
	PLAY_FETCHING,
	PLAY_STORE,      /* COMMITTED, and stored */
	PLAY_STORE_LONG, /* COMMITTED, but other bytes are stored */
	PLAY_LIE,        /* COMMITTED, but nothing is stored */
	PLAY_STORE_LOST, /* stored, and the transfer is forgotten */
	PLAY_FAILED,
	PLAY_UNASKED,    /* WAITING for a request */
	PLAY_SPACE,      /* WAITING for something else */
	PLAY_LOST,       /* not found */
	PLAY_REFUSE,     /* ERROR, usage */
	PLAY_REBORN,     /* not found, and a new incarnation from here on */
	PLAY_TAKEN_OVER, /* FETCHING, and a new incarnation from here on */
	PLAY_RESUMED,    /* WAITING for something else, and a new incarnation from here on */
	PLAY_EVENT,      /* FETCHING, and at once an event that it is committed */
	PLAY_BROKEN,     /* FETCHING, and at once an event that it failed */
	PLAY_NEWS,       /* FETCHING, and later an event of progress */
	PLAY_MISSED,     /* FETCHING, and events may be missed from here on */
	PLAY_SILENT,     /* no answer ever */
	PLAY_FINE,       /* OK: what is stored has the right bytes */
	PLAY_MOVED,      /* what was stored was damaged, and is gone */
};

struct step {
	enum message_type sent;
	enum play play;
	unsigned not_before_ms, not_after_ms; /* since the previous step */
};

/* At any time, or this many milliseconds after the previous step. */
#define STEP(type, what, from, to)                                                                                     \
	{                                                                                                              \
		MSG_##type, PLAY_##what, from, to                                                                      \
	}
#define CHECK(what)          STEP(CHECK, what, 0, 0)
#define GET(what)            STEP(GET, what, 0, 600)
#define LOOK(what)           STEP(STATUS, what, WAIT_LOOK_MS, WAIT_LOOK_MS + 100) /* without an event */
#define GET_AFTER(what, ms)  STEP(GET, what, ms, (ms) + 5)
#define LOOK_AFTER(what, ms) STEP(STATUS, what, ms, (ms) + 5)
#define DONE                 BLOB_DONE, FAIL_NONE, NULL
#define FAILED(class, text)  BLOB_FAILED, FAIL_##class, text

static const struct row {
	const char *name;
	bool by_tag; /* the digest is learned */
	struct step steps[STEPS_MAX];
	enum blob_state want;
	enum fail_class want_class;
	const char *text;
} rows[] = {
    {"stored at once", false, {GET(STORE)}, DONE},
    {"stored after a while, without an event", false, {GET(FETCHING), LOOK(FETCHING), LOOK(STORE)}, DONE},
    {"an event causes a look at once", false, {GET(EVENT), LOOK_AFTER(EVENT, 0), LOOK_AFTER(STORE, 0)}, DONE},
    {"events of progress replace looks", false, {GET(NEWS), LOOK_AFTER(STORE, NEWS_MS + WAIT_LOOK_MS)}, DONE},
    {"missed events cause a look at once", false, {GET(MISSED), LOOK_AFTER(FETCHING, 0), LOOK(STORE)}, DONE},
    {"stored and forgotten", false, {GET(FETCHING), LOOK(STORE_LOST)}, DONE},
    {"by tag", true, {GET(FETCHING), LOOK(STORE)}, DONE},
    {"by tag, too late to learn its digest", true, {GET(FETCHING), LOOK(LOST), GET_AFTER(STORE, 200)}, DONE},
    {"by tag, never available",
     true,
     {GET(FETCHING), LOOK(LOST), GET_AFTER(FETCHING, 200), LOOK(LOST), GET_AFTER(FETCHING, 400), LOOK(LOST)},
     FAILED(AGAIN, "aborted")},
    {"reported as committed, but not stored: requested again",
     false,
     {GET(FETCHING), LOOK(LIE), GET_AFTER(STORE, 200)},
     DONE},
    {"always reported as committed, never stored: growing delays",
     false,
     {GET(LIE), GET_AFTER(LIE, 200), GET_AFTER(STORE, 400)},
     DONE},
    {"stored with a wrong size", false, {GET(STORE_LONG), CHECK(FINE)}, FAILED(BAD_DATA, "expected 7")},
    {"damaged: requested again", false, {GET(STORE_LONG), CHECK(MOVED), GET_AFTER(STORE, 200)}, DONE},
    {"damaged again and again: checked once",
     false,
     {GET(STORE_LONG), CHECK(MOVED), GET_AFTER(STORE_LONG, 200)},
     FAILED(BAD_DATA, "expected 7")},
    {"by tag, and damaged", true, {GET(STORE_LONG), CHECK(MOVED), GET_AFTER(STORE, 200)}, DONE},
    {"failed", false, {GET(FETCHING), LOOK(FAILED)}, FAILED(NOT_FOUND, "no such")},
    {"refused", false, {GET(REFUSE)}, FAILED(USAGE, "not like this")},
    {"waits, then comes", false, {GET(SPACE), LOOK(SPACE), LOOK(STORE)}, DONE},
    {"idle: requested at once", false, {GET(FETCHING), LOOK(UNASKED), GET_AFTER(STORE, 0)}, DONE},
    {"idle although requested: no busy loop",
     false,
     {GET(UNASKED), GET_AFTER(UNASKED, 200), GET_AFTER(STORE, 400)},
     DONE},
    {"by tag, and aborted", true, {GET(BROKEN), LOOK_AFTER(LOST, 0)}, FAILED(AGAIN, "aborted")},
    {"by tag, and stored after a failure of an earlier transfer",
     true,
     {GET(BROKEN), LOOK_AFTER(EVENT, 0), LOOK_AFTER(LOST, 0), GET_AFTER(STORE, 200)},
     DONE},
    {"aborted", false, {GET(FETCHING), LOOK(LOST)}, FAILED(AGAIN, "aborted")},
    {"lost with its ingestd: requested again at once", false, {GET(FETCHING), LOOK(REBORN), GET_AFTER(STORE, 0)}, DONE},
    {"waits at a new ingestd: requested again",
     false,
     {GET(FETCHING), LOOK(RESUMED), LOOK_AFTER(SPACE, 0), GET_AFTER(STORE, 0)},
     DONE},
    {"resumed by a new ingestd: not requested again",
     true,
     {GET(TAKEN_OVER), LOOK_AFTER(FETCHING, 0), LOOK(STORE)},
     DONE},
};

/* ── the stand-in for the client ── */

static struct stage {
	const struct step *steps; /* NULL: everything is stored at the first request */
	size_t at;
	size_t calls, gets, open, open_max;
	uint64_t incarnation, seen_incarnation;
	uint64_t now_ms, step_ms;
	bool event_due, missed;
	enum transfer_state event_state;
	size_t patient; /* number of looks answered with FETCHING; and their blobs */
	char looked_at[LOOKS][DIGEST_TEXT_SIZE];
	uint64_t news_ms; /* time of the event; 0: none */
	char ref[REF_MAX + 1], digest[DIGEST_TEXT_SIZE], expected[DIGEST_TEXT_SIZE];
	const char *fault; /* first deviation from the script */
} stage;

static void set_clock(uint64_t now_ms)
{
	stage.now_ms = now_ms;
	stand_in_clock_set(now_ms);
}

static void store_text(const char *digest, const char *text)
{
	char name[FILE_PATH_SIZE];
	(void)snprintf(name, sizeof(name), "store/blobs/sha256/%s", strchr(digest, ':') + 1);
	unit_write_text(&dir, name, text);
}

static void remove_stored(const char *digest)
{
	char name[FILE_PATH_SIZE];
	(void)snprintf(name, sizeof(name), "store/blobs/sha256/%s", strchr(digest, ':') + 1);
	assert_int_equal(unlinkat(dir.fd, name, 0), 0);
}

static struct message error_of(enum fail_class c, const char *text)
{
	return (struct message){.type = MSG_ERROR, .fail_class = (uint8_t)c, .text = span_str(text)};
}

static struct message record_of(enum transfer_state state, const char *text)
{
	struct message m = {
	    .type = MSG_RECORD,
	    .ref = span_str(stage.ref),
	    .state = (uint8_t)state,
	    .size = strlen(CONTENT),
	    .text = span_str(text),
	};
	if (state == TRANSFER_COMMITTED)
		m.digest = span_str(stage.digest);
	if (state == TRANSFER_FAILED)
		m.fail_class = FAIL_NOT_FOUND;
	return m;
}

static struct message play(enum play what)
{
	if (what == PLAY_STORE || what == PLAY_STORE_LOST)
		store_text(stage.digest, CONTENT);
	if (what == PLAY_STORE_LONG)
		store_text(stage.digest, CONTENT " and more");
	if (what == PLAY_MOVED)
		remove_stored(stage.digest);
	if (what == PLAY_REBORN || what == PLAY_TAKEN_OVER || what == PLAY_RESUMED) {
		stage.incarnation++;
		stage.missed = true;
	}
	stage.event_due = what == PLAY_EVENT || what == PLAY_BROKEN;
	stage.event_state = what == PLAY_BROKEN ? TRANSFER_FAILED : TRANSFER_COMMITTED;
	stage.missed = stage.missed || what == PLAY_MISSED;
	stage.news_ms = what == PLAY_NEWS ? stage.now_ms + NEWS_MS : 0;
	switch (what) {
	case PLAY_FETCHING:
	case PLAY_TAKEN_OVER:
	case PLAY_EVENT:
	case PLAY_BROKEN:
	case PLAY_NEWS:
	case PLAY_MISSED:
		return record_of(TRANSFER_FETCHING, "");
	case PLAY_STORE:
	case PLAY_STORE_LONG:
	case PLAY_LIE:
		return record_of(TRANSFER_COMMITTED, "");
	case PLAY_FAILED:
		return record_of(TRANSFER_FAILED, "no such thing");
	case PLAY_UNASKED:
		return record_of(TRANSFER_WAITING, TRANSFER_UNASKED);
	case PLAY_SPACE:
	case PLAY_RESUMED:
		return record_of(TRANSFER_WAITING, "for space");
	case PLAY_REFUSE:
		return error_of(FAIL_USAGE, "not like this");
	case PLAY_FINE:
		return (struct message){.type = MSG_OK};
	case PLAY_MOVED:
		return error_of(FAIL_BAD_DATA, "moved away");
	default:
		return error_of(FAIL_NOT_FOUND, "no such transfer");
	}
}

static bool follows_script(const struct step *step, enum message_type sent)
{
	uint64_t after_ms = stage.now_ms - stage.step_ms;

	if (step->play == PLAY_END || step->sent != sent)
		stage.fault = message_name(sent);
	else if (after_ms < step->not_before_ms || after_ms > step->not_after_ms)
		stage.fault = "not at its time";
	return !stage.fault;
}

/* Without a script: each blob is fetched without events until it is looked at. */
static struct message serve_all(const struct message *request)
{
	stage.gets += request->type == MSG_GET;
	stage.open += request->type == MSG_GET;
	stage.open_max = stage.open > stage.open_max ? stage.open : stage.open_max;
	if (request->type == MSG_GET)
		return record_of(TRANSFER_FETCHING, "");
	if (stage.patient > 0) {
		(void)snprintf(stage.looked_at[--stage.patient], DIGEST_TEXT_SIZE, "%.*s", DIGEST_TEXT_SIZE - 1,
			       stage.ref);
		return record_of(TRANSFER_FETCHING, "");
	}
	stage.open--;
	if (stage.now_ms - stage.step_ms < WAIT_LOOK_MS)
		stage.fault = "one look too soon after another";
	stage.step_ms = stage.now_ms;
	return error_of(FAIL_IO, "it is enough");
}

int client_ask(struct client *c, enum stage_id to, const struct message *request, struct message *ret_answer,
	       struct reason *why)
{
	(void)c;
	assert_true(++stage.calls < LOOP_GUARD);
	assert_int_equal(to, request->type == MSG_CHECK ? STAGE_COMMITD : STAGE_INGESTD);
	if (request->ref.len > 0)
		(void)snprintf(stage.ref, sizeof(stage.ref), "%.*s", SPAN_ARG(request->ref));
	if (request->type == MSG_GET)
		(void)snprintf(stage.expected, sizeof(stage.expected), "%.*s", SPAN_ARG(request->expected));
	if (!stage.steps) {
		*ret_answer = serve_all(request);
		return 0;
	}
	const struct step *step = &stage.steps[stage.at];
	if (!follows_script(step, request->type) || step->play == PLAY_SILENT) {
		reason_set(why, "no answer");
		return EX_TEMPFAIL;
	}
	stage.at++;
	stage.step_ms = stage.now_ms;
	*ret_answer = play(step->play);
	return 0;
}

int client_try(struct client *c, enum stage_id to, const struct message *request, struct message *ret_answer)
{
	(void)c;
	(void)to;
	(void)request;
	(void)ret_answer;
	return -EPIPE;
}

int client_check_incarnation(struct client *c, bool *ret_changed, struct reason *why)
{
	(void)c;
	(void)why;
	*ret_changed = stage.incarnation != stage.seen_incarnation;
	stage.missed = *ret_changed; /* on the connection before this one */
	stage.seen_incarnation = stage.incarnation;
	return 0;
}

bool client_missed(struct client *c)
{
	bool missed = stage.missed;
	(void)c;
	stage.missed = false;
	return missed;
}

/* Time passes only here. */
bool client_event(struct client *c, unsigned wait_ms, struct message *ret_event)
{
	(void)c;
	assert_true(++stage.calls < LOOP_GUARD);
	if (stage.event_due) {
		stage.event_due = false;
		*ret_event = record_of(stage.event_state, "");
		return true;
	}
	if (stage.missed) /* a connection that breaks ends the wait */
		return false;
	if (stage.news_ms > 0 && stage.now_ms + wait_ms >= stage.news_ms) {
		set_clock(stage.news_ms);
		stage.news_ms = 0;
		*ret_event = record_of(TRANSFER_FETCHING, "");
		return true;
	}
	set_clock(stage.now_ms + wait_ms);
	return false;
}

/* ── the waiting ── */

static struct layout *layout;
static struct progress *progress;
static struct wait *waiting;
static unsigned told;
static int hook_code;

static int count_stored(void *self, struct wait *w, size_t number, struct reason *why)
{
	(void)self;
	assert_int_equal(wait_at(w, number)->state, BLOB_STORED);
	told++;
	if (hook_code != 0)
		reason_set(why, "the hook says so");
	return hook_code;
}

static int set_up(void **state)
{
	static const struct wait_hooks hooks = {.stored = count_stored};
	char path[FILE_PATH_SIZE];
	struct digest d;
	struct reason why;
	(void)unit_dir_set_up(state);
	assert_int_equal(mkdirat(dir.fd, "store", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "store/blobs", 0755), 0);
	assert_int_equal(mkdirat(dir.fd, "store/blobs/sha256", 0755), 0);
	unit_write_text(&dir, "store/oci-layout", "{\"imageLayoutVersion\":\"1.0.0\"}");
	assert_int_equal(layout_open(unit_path(&dir, "store", path), LAYOUT_READER, &layout, &why), 0);
	assert_int_equal(progress_new(PROGRESS_NONE, &progress), 0);
	assert_int_equal(wait_new(NULL, layout, progress, &hooks, &waiting), 0);
	stage = (struct stage){.incarnation = 7, .seen_incarnation = 7};
	digest_of(HASH_SHA256, CONTENT, strlen(CONTENT), &d);
	digest_format(&d, stage.digest);
	stage.step_ms = 1000000;
	set_clock(stage.step_ms);
	told = 0;
	hook_code = 0;
	return 0;
}

static int tear_down(void **state)
{
	wait_free(waiting);
	progress_free(progress);
	layout_free(layout);
	stand_in_clock_release();
	return unit_dir_tear_down(state);
}

static size_t want(const char *text, bool by_tag)
{
	char ref[DIGEST_TEXT_SIZE], source[] = "manifest://localhost/a:1";
	struct blob like = {.source = source, .content = {.size = strlen(CONTENT)}};
	size_t number, again;

	like.digest = by_tag ? BLOB_DIGEST_UNKNOWN : BLOB_DIGEST_GIVEN;
	digest_of(HASH_SHA256, text, strlen(text), &like.content.digest);
	digest_format(&like.content.digest, ref);
	like.ref = by_tag ? source : ref;
	assert_int_equal(wait_add(waiting, &like, &number), 0);
	assert_int_equal(wait_add(waiting, &like, &again), 1); /* the same again */
	assert_int_equal(number, again);
	return number;
}

static void check_row(const struct row *row)
{
	struct reason why = {""};

	stage.steps = row->steps;
	size_t number = want(CONTENT, row->by_tag);
	int code = wait_run(waiting, &why);
	const struct blob *b = wait_at(waiting, number);
	bool ended = stage.at == STEPS_MAX || row->steps[stage.at].play == PLAY_END;
	if (code != 0 || stage.fault || !ended || b->state != row->want || b->fail_class != row->want_class)
		fail_msg("%s: %d, step %zu (%s), state %d, class %d: %s%s", row->name, code, stage.at,
			 stage.fault ? stage.fault : "as written", (int)b->state, (int)b->fail_class, why.text,
			 b->why ? b->why : "");
	assert_int_equal(told, b->state == BLOB_DONE);
	assert_string_equal(stage.expected, row->by_tag ? "" : stage.digest);
	if (row->text)
		assert_non_null(strstr(b->why, row->text));
	if (b->state == BLOB_DONE)
		assert_int_equal(b->content.size, strlen(CONTENT));
}

static void test_scripts(void **state)
{
	const struct row *row;
	for_each_row(row, rows)
	{
		(void)set_up(state);
		check_row(row);
		(void)tear_down(state);
	}
}

/* A stored blob is requested nevertheless, because its name may not be durable yet. */
static void test_stored_already(void **state)
{
	static const struct step steps[STEPS_MAX] = {GET(STORE)};
	struct reason why;
	(void)state;
	store_text(stage.digest, CONTENT);
	stage.steps = steps;
	size_t number = want(CONTENT, false);
	assert_int_equal(wait_run(waiting, &why), 0);
	assert_int_equal(stage.at, 1);
	assert_int_equal(wait_at(waiting, number)->state, BLOB_DONE);
	assert_true(progress_bar(progress, 0)->was_here);
}

static void test_window(void **state)
{
	char text[32];
	struct reason why;
	(void)state;
	for (unsigned i = 0; i < 2 * WAIT_WINDOW + 1; i++) {
		(void)snprintf(text, sizeof(text), "blob %u", i);
		(void)want(text, false);
	}
	assert_int_equal(wait_count(waiting, BLOB_NEW), 2 * WAIT_WINDOW + 1);
	assert_int_equal(wait_run(waiting, &why), 0);
	assert_int_equal(stage.gets, 2 * WAIT_WINDOW + 1);
	assert_int_equal(stage.open_max, WAIT_WINDOW);
	assert_null(stage.fault); /* one look per interval, however many blobs there are */
	assert_int_equal(wait_count(waiting, BLOB_FAILED), 2 * WAIT_WINDOW + 1);
}

/* Periodic looks take turns. */
static void test_looks_in_turn(void **state)
{
	static const char *const texts[LOOKS] = {"a", "b", "c"};
	struct reason why;
	(void)state;
	for (size_t i = 0; i < LOOKS; i++)
		(void)want(texts[i], false);
	stage.patient = LOOKS;
	assert_int_equal(wait_run(waiting, &why), 0);
	for (size_t i = 0; i < LOOKS; i++)
		for (size_t j = 0; j < i; j++)
			assert_string_not_equal(stage.looked_at[i], stage.looked_at[j]);
}

static void test_too_many(void **state)
{
	struct blob like = {.source = (char[]){"x"}};
	size_t number;
	char ref[32];
	(void)state;
	like.ref = ref;
	for (unsigned i = 0; i < WAIT_BLOBS_MAX; i++) {
		(void)snprintf(ref, sizeof(ref), "ref %u", i);
		assert_int_equal(wait_add(waiting, &like, &number), 0);
	}
	(void)snprintf(ref, sizeof(ref), "one more");
	assert_int_equal(wait_add(waiting, &like, &number), -E2BIG);
}

static void test_no_answer_ends_it(void **state)
{
	static const struct step steps[STEPS_MAX] = {GET(FETCHING), LOOK(SILENT)};
	struct reason why = {""};
	(void)state;
	stage.steps = steps;
	size_t number = want(CONTENT, false);
	assert_int_equal(wait_run(waiting, &why), EX_TEMPFAIL);
	assert_string_equal(why.text, "no answer");
	assert_true(blob_is_open(wait_at(waiting, number)));
}

static void test_hook_ends_it(void **state)
{
	static const struct step steps[STEPS_MAX] = {GET(STORE)};
	struct reason why = {""};
	(void)state;
	stage.steps = steps;
	hook_code = EX_OSERR;
	(void)want(CONTENT, false);
	assert_int_equal(wait_run(waiting, &why), EX_OSERR);
	assert_string_equal(why.text, "the hook says so");
}

static int add_and_fail(void *self, struct wait *w, size_t number, struct reason *why)
{
	(void)self;
	(void)why;
	if (number == 0)
		(void)want("other", false);
	wait_fail(w, number, FAIL_BAD_DATA, "of no use");
	return 0;
}

/* The hook adds a blob, which moves the array, and fails each blob. */
static void test_hook_adds_and_fails(void **state)
{
	static const struct step steps[STEPS_MAX] = {GET(STORE), GET(REFUSE)};
	const struct wait_hooks hooks = {.stored = add_and_fail};
	struct reason why;
	(void)state;
	wait_free(waiting);
	assert_int_equal(wait_new(NULL, layout, progress, &hooks, &waiting), 0);
	stage.steps = steps;
	(void)want(CONTENT, false);
	assert_int_equal(wait_run(waiting, &why), 0);
	assert_int_equal(wait_len(waiting), 2);
	assert_int_equal(wait_count(waiting, BLOB_FAILED), 2);
	assert_string_equal(wait_at(waiting, 0)->why, "of no use");
	assert_true(wait_at(waiting, 0)->arrived);
	assert_string_equal(wait_at(waiting, 1)->why, "not like this");
	assert_false(wait_at(waiting, 1)->arrived);
}

static void test_interrupted(void **state)
{
	struct reason why = {""};
	(void)state;
	(void)want(CONTENT, false);
	interrupt_catch();
	assert_int_equal(raise(SIGINT), 0);
	assert_int_equal(wait_run(waiting, &why), EXIT_INTERRUPTED);
	assert_int_equal(stage.calls, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_scripts),
	    cmocka_unit_test_setup_teardown(test_stored_already, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_window, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_looks_in_turn, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_no_answer_ends_it, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_hook_ends_it, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_hook_adds_and_fails, set_up, tear_down),
	    cmocka_unit_test_setup_teardown(test_interrupted, set_up,
					    tear_down), /* last, because an interrupt cannot be undone */
	};
	return cmocka_run_group_tests_name("sluice wait", tests, NULL, NULL);
}
