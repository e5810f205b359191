/* SPDX-License-Identifier: Apache-2.0 */
/* System */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/refs.h"
#include "sluice/cmd/report.h"
#include "sluice/run/client.h"
#include "sluice/run/interrupt.h"
#include "sluice/show/listing.h"
#include "sluice/show/screen.h"
#include "sluice/show/status.h"

#define STATUS_PATIENCE_MS 5000u
#define WATCH_EVERY_MS     1000

static const struct opt options[] = {
    {.name = "watch",
     .letter = 'w',
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, status_watch),
     .def = "no",
     .help = "repeat every second if it has changed, until Ctrl-C"},
    {.name = NULL},
};

/* Request one, which must exist. */
static int ask(struct client *c, struct span ref, struct status_list *list, struct reason *why)
{
	const struct message request = {.type = MSG_STATUS, .ref = ref};
	struct message answer;
	struct status status;
	int code = client_ask(c, STAGE_INGESTD, &request, &answer, why);

	if (code != 0)
		return code;
	if (answer.type == MSG_ERROR && answer.fail_class == FAIL_NOT_FOUND) {
		reason_set(why, "there is no such transfer");
		return EX_NOINPUT;
	}
	if (answer.type != MSG_RECORD) {
		reason_set(why, "%.*s", SPAN_ARG(answer.text));
		return answer.type == MSG_ERROR ? fail_exit_code((enum fail_class)answer.fail_class) : EX_PROTOCOL;
	}
	status_of_message(&answer, &status);
	if (status_list_add(list, &status) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	return 0;
}

static int gather_served(struct client *c, int argc, char **argv, struct status_list *list, const char **ret_subject,
			 struct reason *why)
{
	char ref[REF_MAX + 1];
	int code = argc == 0 ? refs_list(c, list, why) : 0;

	for (int i = 0; code == 0 && i < argc; i++) {
		*ret_subject = argv[i];
		code = refs_find_served(c, argv[i], ref, why);
		if (code == 0)
			code = ask(c, span_str(ref), list, why);
	}
	return code;
}

/* One transfer of the store. 0, or an exit code with a reason. */
static int gather_one(struct layout *l, const char *text, struct status_list *list, struct reason *why)
{
	struct status_list all = {.rows = NULL};
	struct status status;
	char ref[REF_MAX + 1];
	int code = 0, r = refs_are_digits(text) ? status_list_of_store(l, &all) : 0;

	if (r < 0)
		reason_set(why, "%s", strerror(-r));
	else
		code = refs_find(&all, text, ref, why);
	status_list_release(&all);
	if (r < 0 || code != 0)
		return r < 0 ? exit_code_of(r) : code;
	r = status_of_store(l, span_str(ref), &status, why);
	if (r == -ENOENT)
		reason_set(why, "there is no such transfer");
	if (r == 0 && (r = status_list_add(list, &status)) < 0)
		reason_set(why, "out of memory");
	return exit_code_of(r);
}

static int gather_stored(const struct context *ctx, int argc, char **argv, struct status_list *list,
			 const char **ret_subject, struct reason *why)
{
	struct layout *l;
	int r = layout_open(ctx->places.store, LAYOUT_READER, &l, why), code = 0;

	if (r < 0)
		return exit_code_of(r);
	if (argc == 0) {
		r = status_list_of_store(l, list);
		reason_set(why, "%s", strerror(-r));
		code = exit_code_of(r);
	}
	for (int i = 0; code == 0 && i < argc; i++) {
		*ret_subject = argv[i];
		code = gather_one(l, argv[i], list, why);
	}
	layout_free(l);
	return code;
}

static int format_list(const struct status_list *list, struct buf *out)
{
	unsigned width, lines;

	if (!isatty(STDOUT_FILENO))
		return listing_whole(list, out);
	screen_size(STDOUT_FILENO, &width, &lines);
	return listing_narrow(list, width, out);
}

static int format_refs(const struct status_list *list, struct buf *out)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < list->len; i++)
		r = buf_appendf(out, "%s\n", list->rows[i].ref);
	return r;
}

static int format_json(const struct status_list *list, struct buf *out)
{
	AUTO_JSON array = json_array_make();
	int r = array ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < list->len; i++) {
		struct json_t *object = status_json(&list->rows[i]);
		r = object ? json_append(array, object) : -ENOMEM;
	}
	if (r == 0)
		r = json_format(array, out);
	return r < 0 ? r : buf_append_str(out, "\n");
}

static int format(const struct context *ctx, const struct status_list *list, struct buf *out)
{
	if (ctx->json)
		return format_json(list, out);
	return ctx->quiet ? format_refs(list, out) : format_list(list, out);
}

/* From ingestd if one serves, else from the disk. */
static int gather(const struct context *ctx, int argc, char **argv, struct status_list *list, const char **ret_subject,
		  struct reason *why)
{
	const struct client_options how = {
	    .runtime_dir = ctx->places.runtime,
	    .store = ctx->places.store,
	    .patience_ms = STATUS_PATIENCE_MS,
	    .ingestd_alone = true,
	};
	struct client *c = NULL;

	if (!stages_serve(ctx->places.runtime))
		return gather_stored(ctx, argc, argv, list, ret_subject, why);
	int code = client_open(&how, &c, why);
	if (code == 0)
		code = gather_served(c, argc, argv, list, ret_subject, why);
	client_close(c);
	/* The stages may have stopped meanwhile. */
	if (code == EX_TEMPFAIL && !stages_serve(ctx->places.runtime)) {
		list->len = 0;
		return gather_stored(ctx, argc, argv, list, ret_subject, why);
	}
	return code;
}

/* What is shown now, for --watch. */
struct view {
	bool draws; /* in place, on a terminal */
	struct screen screen;
	bool written;
	struct buf text; /* otherwise: what was written last */
};

static int draw(struct view *v, const struct status_list *list)
{
	AUTO_BUF text = BUF_INIT;
	unsigned width, lines;

	screen_size(v->screen.fd, &width, &lines);
	int r = listing_watched(list, width, lines, &text);
	return r < 0 ? r : screen_draw(&v->screen, buf_span(&text));
}

/* Write everything, unless nothing has changed. */
static int write_out(struct view *v, const struct context *ctx, const struct status_list *list)
{
	AUTO_BUF text = BUF_INIT;
	int r = format(ctx, list, &text);

	if (r < 0 || (v->written && span_eq(buf_span(&text), buf_span(&v->text))))
		return r;
	if (text.len > 0)
		(void)fwrite(text.data, 1, text.len, stdout);
	v->written = true;
	buf_clear(&v->text);
	return buf_append(&v->text, text.data, text.len);
}

static int show(struct view *v, const struct context *ctx, int argc, char **argv)
{
	struct status_list list = {.rows = NULL};
	struct reason why = {""};
	const char *subject = ctx->places.store;
	int code = gather(ctx, argc, argv, &list, &subject, &why);

	if (code == 0 && (v->draws ? draw(v, &list) : write_out(v, ctx, &list)) < 0) {
		reason_set(&why, "out of memory");
		code = EX_OSERR;
	}
	if (code != 0 && code != EXIT_INTERRUPTED)
		report_error("show the status of", subject, code, NULL, &why);
	status_list_release(&list);
	return code != 0 ? code : report_stdout(0);
}

static int watch(struct view *v, const struct context *ctx, int argc, char **argv)
{
	int code = 0;

	interrupt_catch();
	v->draws = !ctx->json && !ctx->quiet && screen_can(STDOUT_FILENO);
	while (code == 0 && !interrupt_seen()) {
		code = show(v, ctx, argc, argv);
		if (code == 0 && !interrupt_seen())
			clock_pause(WATCH_EVERY_MS);
	}
	return code == EXIT_INTERRUPTED ? 0 : code; /* Ctrl-C is the way to end it */
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	struct view v = {.screen = {.fd = STDOUT_FILENO}};
	int code = (s->status_watch ? watch : show)(&v, &s->context, call->argc, call->argv);

	screen_release(&v.screen);
	buf_release(&v.text);
	return code;
}

const struct verb command_status = {
    .name = "status",
    .usage = "[--watch] [REF...]",
    .summary = "show transfers: their progress, and what they wait for",
    .help = "With --quiet: only the refs. With --json: an array of objects with ref, state,\n"
	    "offset, total, digest, media_type, rate, eta_s, started, updated, until,\n"
	    "attempts, rehashed_bytes, class, error; what is unknown is left out. digest is\n"
	    "that of the bytes so far.\n",
    .operands_max = OPERANDS_ANY,
    .options = options,
    .run = run,
};
