/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/tool.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/base/loop.h"
#include "common/base/shown.h"

/* Wire */
#include "common/wire/frame.h"
#include "common/wire/stage.h"

/* Own */
#include "fetchd/confine.h"
#include "fetchd/fetch.h"

#define PIPE_BYTES (1 << 20) /* of a pipe on stdout: a chunk in one write */

struct get {
	struct fetcher fetcher;
	struct loop *loop;
	bool done;
	enum fail_class fail;
	int sink_error;
};

static void on_done(void *self, struct fetch *f)
{
	struct get *g = self;
	g->fail = fetch_outcome(f);
	g->sink_error = fetch_sink_error(f);
	fetch_free(f);
	g->done = true;
	loop_break(g->loop);
}

static const struct fetch_hooks hooks = {on_done};

/* 0, or an exit code with a reason. */
static int read_policy(const struct call *call, const char *text, struct buf *out, struct reason *why)
{
	const struct settings *s = call->settings;
	struct source source;
	struct origin origin;
	char host[ORIGIN_TEXT_SIZE] = "";
	struct reason trouble;
	if (source_parse(span_str(text), &source, why) < 0)
		return 0; /* the transfer fails for that */
	if (source.kind == SOURCE_URL && origin_of(text, &origin, NULL) == 0)
		origin_format(&origin, host);
	else if (source.kind != SOURCE_DATA)
		memcpy(host, source.reference.host, sizeof(source.reference.host));
	int code = policy_options_read(&s->policy, host, source.reference.name, call->words_len, call->words, out,
				       &trouble, why);
	if (trouble.text[0] != '\0')
		log_warning("%s; continuing without these credentials for '%s'", trouble.text, host);
	return code;
}

static int check_arguments(const struct settings *s, const char *source, struct fetch_order *ret_order,
			   struct reason *why)
{
	struct digest digest;
	int r = 0;
	*ret_order = (struct fetch_order){
	    /* The reader of the frames has its own ref; this one only has to be valid. */
	    .ref = span_str(strlen(source) <= REF_MAX ? source : "-"),
	    .attempt = 1,
	    .source = span_str(source),
	    .offset = s->offset,
	    .size = SIZE_UNKNOWN,
	    .expected = span_str(s->digest),
	    .checked = true, /* by whoever requested the rest */
	};
	if (s->size)
		r = opt_parse_number(OPT_COUNT, s->size, &ret_order->size);
	if (r < 0 || (s->size && ret_order->size > INT64_MAX)) {
		reason_set(why, "'%s' is not a size", s->size);
		return -EINVAL;
	}
	if (s->digest)
		r = digest_parse(span_str(s->digest), &digest, why);
	if (r == 0 && ref_check(ret_order->ref, NULL) < 0) {
		char shown[SHOWN_SIZE];
		shown_of(span_str(source), shown);
		reason_set(why, "'%s' is not a source", shown);
		return -EINVAL;
	}
	return r;
}

static int say_hello(const struct settings *s)
{
	struct stage_self self;
	stage_self_init(&self, STAGE_FETCHD);
	struct message m = {.type = MSG_HELLO, .incarnation = self.incarnation};
	stage_introduce(&m);
	return s->raw ? 0 : frame_write(STDOUT_FILENO, &m);
}

static int stdout_failed(int r)
{
	(void)log_errno(r, "cannot write to standard output");
	return r == -EPIPE ? EX_TEMPFAIL : exit_code_of(r);
}

/* A shell's pipe holds only 64 KiB and may be set to non-blocking, which this program does not handle. */
static void prepare_stdout(void)
{
	int flags = fcntl(STDOUT_FILENO, F_GETFL);
	if (flags >= 0 && (flags & O_NONBLOCK))
		(void)fcntl(STDOUT_FILENO, F_SETFL, flags & ~O_NONBLOCK);
	(void)fcntl(STDOUT_FILENO, F_SETPIPE_SZ, PIPE_BYTES);
}

static int open_all(struct get *g, const struct settings *s)
{
	int r = loop_new(&g->loop);
	if (r == 0)
		keeper_watch(g->fetcher.keeper, g->loop, NULL, NULL);
	if (r == 0)
		r = fetcher_open(&g->fetcher, g->loop, s);
	return r < 0 ? r : sink_new_fd(g->loop, STDOUT_FILENO, s->raw ? SINK_RAW : SINK_FRAMES, &g->fetcher.sink);
}

static int run(struct get *g, const struct fetch_order *order)
{
	struct fetch *f;
	int r = fetch_new(&g->fetcher, order, &hooks, g, &f);
	if (r < 0)
		return r;
	fetch_start(f);
	if (!g->done) /* it may be done before the loop runs */
		loop_run(g->loop);
	return 0;
}

static int fetch_all(struct get *g, const struct settings *s, const struct fetch_order *order)
{
	int r = open_all(g, s);
	if (r == 0)
		r = run(g, order);
	struct keeper *keeper = g->fetcher.keeper;
	sink_free(g->fetcher.sink);
	fetcher_close(&g->fetcher);
	keeper_free(keeper);
	loop_free(g->loop);
	return r;
}

static int get_all(const struct call *call, const char *source, const struct fetch_order *order)
{
	const struct settings *s = call->settings;
	struct get g = {0};
	prepare_stdout();
	int r = say_hello(s);
	if (r < 0)
		return stdout_failed(r);
	int code = confine_calls(call, &g.fetcher.keeper);
	if (code != 0)
		return code;
	confine_files(s);
	r = fetch_all(&g, s, order);
	if (r < 0) {
		char shown[SHOWN_SIZE];
		shown_of(span_str(source), shown);
		(void)log_errno(r, "cannot fetch '%s'", shown);
		return exit_code_of(r);
	}
	return g.sink_error < 0 ? stdout_failed(g.sink_error) : fail_exit_code(g.fail);
}

int tool_get(const struct call *call, const char *source)
{
	const struct settings *s = call->settings;
	struct fetch_order order;
	struct buf policy = BUF_INIT;
	struct reason why;
	if (!s->raw && isatty(STDOUT_FILENO)) {
		log_error("frames are not for a terminal: use --raw, or pipe them into 'ingestd put'");
		return EX_USAGE;
	}
	int code = check_arguments(s, source, &order, &why) < 0 ? EX_USAGE : read_policy(call, source, &policy, &why);
	if (code != 0)
		log_error("%s", why.text);
	order.policy = buf_span(&policy);
	if (code == 0)
		code = get_all(call, source, &order);
	buf_wipe(&policy);
	return code;
}
