/* System */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/daemon.h"
#include "common/base/log.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/client.h"
#include "sluice/command.h"
#include "sluice/human.h"
#include "sluice/interrupt.h"
#include "sluice/record.h"
#include "sluice/report.h"

#define STATUS_PATIENCE_MS 5000u
#define WATCH_EVERY_MS     1000
#define CLEAR_SCREEN       "\x1b[H\x1b[2J"
#define STATUS_COLUMNS     10

static bool option_watch;

static const struct opt options[] = {
    {"watch", 'w', OPT_FLAG, &option_watch, "no", 0, 0, NULL, NULL, "again every second, until Ctrl-C"},
    {.name = NULL},
};

/* Ask for one, which must be there, or with NEXT for what comes after `ref`, which need not. */
static int ask(struct client *c, enum message_type type, struct span ref, struct records *rs, bool *ret_end,
	       struct reason *why)
{
	const struct message request = {.type = type, .ref = ref};
	struct message answer;
	struct record record;
	int code = client_ask(c, CLIENT_INGESTD, &request, &answer, why);

	if (code != 0)
		return code;
	if (answer.type == MSG_ERROR && answer.fail_class == FAIL_NOT_FOUND) {
		reason_set(why, "there is no such transfer");
		*ret_end = true;
		return type == MSG_NEXT ? 0 : EX_NOINPUT;
	}
	if (answer.type != MSG_RECORD) {
		reason_set(why, "%.*s", SPAN_ARG(answer.text));
		return answer.type == MSG_ERROR ? fail_exit_code((enum fail_class)answer.fail_class) : EX_PROTOCOL;
	}
	record_of_message(&answer, &record);
	if (records_add(rs, &record) < 0) {
		reason_set(why, "out of memory");
		return EX_OSERR;
	}
	return 0;
}

static int gather_served(struct client *c, int argc, char **argv, struct records *rs, const char **ret_subject,
			 struct reason *why)
{
	bool end = false;
	int code = 0;

	for (int i = 0; code == 0 && i < argc; i++) {
		*ret_subject = argv[i];
		code = ask(c, MSG_STATUS, span_str(argv[i]), rs, &end, why);
	}
	while (code == 0 && argc == 0 && !end)
		code = ask(c, MSG_NEXT, rs->len ? span_str(rs->list[rs->len - 1].ref) : span_str(""), rs, &end, why);
	return code;
}

static int gather_stored(const struct context *ctx, int argc, char **argv, struct records *rs, const char **ret_subject,
			 struct reason *why)
{
	struct layout *l;
	struct record record;
	int r = layout_open(ctx->places.store, LAYOUT_READER, &l, why);

	if (r < 0)
		return exit_code_of(r);
	if (argc == 0)
		r = records_of_store(l, rs);
	for (int i = 0; r == 0 && i < argc; i++) {
		*ret_subject = argv[i];
		r = record_of_store(l, span_str(argv[i]), &record, why);
		if (r == -ENOENT)
			reason_set(why, "there is no such transfer");
		if (r == 0)
			r = records_add(rs, &record);
	}
	layout_free(l);
	if (r == -EINVAL)
		return EX_DATAERR;
	if (r < 0 && r != -ENOENT)
		reason_set(why, "%s", strerror(-r));
	return r < 0 ? exit_code_of(r) : 0;
}

static void format_eta(const struct record *r, char ret_text[static HUMAN_DURATION_ROOM])
{
	uint64_t eta_s = human_eta_s(r->offset, r->total, r->rate);

	(void)snprintf(ret_text, HUMAN_DURATION_ROOM, "-");
	if (r->state == TRANSFER_FETCHING && eta_s != HUMAN_ETA_UNKNOWN)
		human_duration(eta_s, ret_text);
}

static int add_row(struct table *t, const struct record *r)
{
	char offset[24], total[24] = "-", rate[HUMAN_SIZE_ROOM + 2] = "-", eta[HUMAN_DURATION_ROOM], attempts[24];
	char started[CLOCK_TEXT_SIZE], updated[CLOCK_TEXT_SIZE], size[HUMAN_SIZE_ROOM];

	(void)snprintf(offset, sizeof(offset), "%" PRIu64, r->offset);
	if (r->total != SIZE_UNKNOWN)
		(void)snprintf(total, sizeof(total), "%" PRIu64, r->total);
	if (r->state == TRANSFER_FETCHING && r->rate > 0) {
		human_size(r->rate, size);
		(void)snprintf(rate, sizeof(rate), "%s/s", size);
	}
	(void)snprintf(attempts, sizeof(attempts), "%" PRIu64, r->attempts);
	format_eta(r, eta);
	clock_format(r->started_s, started);
	clock_format(r->updated_s, updated);
	const char *const cells[STATUS_COLUMNS] = {
	    r->ref, transfer_state_name(r->state), offset, total, rate, eta, started, updated, attempts, r->text};
	return table_add(t, cells);
}

static int print_table(const struct records *rs)
{
	static const char *const heads[STATUS_COLUMNS] = {"REF", "STATE",   "OFFSET",  "TOTAL",    "RATE",
							  "ETA", "STARTED", "UPDATED", "ATTEMPTS", "LAST ERROR"};
	AUTO_TABLE t = NULL;
	int r = table_new(STATUS_COLUMNS, &t);

	if (r == 0)
		r = table_add(t, heads);
	for (size_t i = 0; r == 0 && i < rs->len; i++)
		r = add_row(t, &rs->list[i]);
	if (r == 0)
		table_print(t, stdout);
	return r;
}

static int print_refs(const struct records *rs)
{
	for (size_t i = 0; i < rs->len; i++)
		(void)printf("%s\n", rs->list[i].ref);
	return 0;
}

static int print_json(const struct records *rs)
{
	AUTO_JSON array = json_array_make();
	int r = array ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < rs->len; i++) {
		struct json_t *object = record_json(&rs->list[i]);
		r = object ? json_append(array, object) : -ENOMEM;
	}
	if (r == 0)
		report_json(array);
	return r;
}

static int print(const struct context *ctx, const struct records *rs)
{
	if (ctx->json)
		return print_json(rs);
	return ctx->quiet ? print_refs(rs) : print_table(rs);
}

/* From ingestd if one serves, else from the disk. */
static int gather(const struct context *ctx, int argc, char **argv, struct records *rs, const char **ret_subject,
		  struct reason *why)
{
	const struct client_options how = {
	    .runtime_dir = ctx->places.runtime,
	    .store = ctx->places.store,
	    .patience_ms = STATUS_PATIENCE_MS,
	};
	struct client *c = NULL;

	if (!stages_serve(ctx->places.runtime))
		return gather_stored(ctx, argc, argv, rs, ret_subject, why);
	int code = client_open(&how, &c, why);
	if (code == 0)
		code = gather_served(c, argc, argv, rs, ret_subject, why);
	client_close(c);
	/* They may have gone while we asked. */
	if (code == EX_TEMPFAIL && !stages_serve(ctx->places.runtime)) {
		rs->len = 0;
		return gather_stored(ctx, argc, argv, rs, ret_subject, why);
	}
	return code;
}

static int show_once(const struct context *ctx, int argc, char **argv)
{
	struct records rs = {.list = NULL};
	struct reason why = {""};
	const char *subject = ctx->places.store;
	int code = gather(ctx, argc, argv, &rs, &subject, &why);

	if (code == 0 && option_watch && !ctx->json && isatty(STDOUT_FILENO))
		(void)fputs(CLEAR_SCREEN, stdout);
	if (code == 0 && print(ctx, &rs) < 0) {
		reason_set(&why, "out of memory");
		code = EX_OSERR;
	}
	if (code != 0 && code != EXIT_INTERRUPTED)
		report_error("show the status of", subject, code, NULL, &why);
	records_release(&rs);
	return code != 0 ? code : report_stdout(0);
}

static int run(struct context *ctx, int argc, char **argv)
{
	if (!option_watch)
		return show_once(ctx, argc, argv);
	interrupt_catch();
	for (;;) {
		int code = show_once(ctx, argc, argv);
		if (code == EXIT_INTERRUPTED || (code == 0 && interrupt_seen()))
			return 0; /* the way to end it */
		if (code != 0)
			return code;
		(void)poll(NULL, 0, WATCH_EVERY_MS);
		if (interrupt_seen())
			return 0;
	}
}

const struct command command_status = {
    .name = "status",
    .usage = "[--watch] [REF...]",
    .summary = "the transfers: how far they are, and what they wait for",
    .help = "With --quiet: the refs alone. With --json: an array of objects with ref, state,\n"
	    "offset, total, digest, media_type, rate, eta_s, started, updated, until,\n"
	    "attempts, rehashed_bytes, class, error; what is not known is left out.\n"
	    "digest is that of the bytes so far.\n",
    .operands_min = 0,
    .operands_max = OPERANDS_ANY,
    .options = options,
    .run = run,
};
