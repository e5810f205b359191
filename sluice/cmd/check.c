/* SPDX-License-Identifier: Apache-2.0 */
/*
 * check: has commitd read stored content back, and says what is damaged, missing or unreadable, and which names need it.
 */

/* System */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/array.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/base/text.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/inventory.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/find.h"
#include "sluice/cmd/graph.h"
#include "sluice/cmd/pull.h"
#include "sluice/cmd/report.h"
#include "sluice/run/checks.h"
#include "sluice/run/interrupt.h"
#include "sluice/run/job.h"

#define AGE_MAX_MS (100ull * 365 * 24 * 3600 * 1000)

static const struct opt options[] = {
    {.name = "repair",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, check_repair),
     .def = "no",
     .help = "then fetch again what names lack"},
    {.name = "since",
     .kind = OPT_TIME_MS,
     .at = offsetof(struct settings, check_since_ms),
     .max = AGE_MAX_MS,
     .arg = "AGE",
     .help = "pass over what was found good less than AGE ago"},
    {.name = NULL},
};

/* What is wrong with one blob. */
struct problem {
	struct digest digest;
	enum fail_class is; /* BAD_DATA, NOT_FOUND or IO */
	char *text;         /* owned */
	size_t *needers;    /* owned: entries of index.json */
	size_t needers_len, needers_room;
	bool is_left_out; /* an entry says that it may be missing */
	bool is_over;     /* repaired */
};

struct check {
	const struct settings *settings;
	struct job job;
	struct names *names; /* NULL: they cannot be read */
	struct graph *graph;
	struct digest *digests; /* owned: what is to be checked; sorted, each once */
	size_t len, room;
	bool is_short; /* out of memory */
	size_t bar;
	uint64_t bytes;           /* in all of them */
	struct problem *problems; /* owned; by digest, once all are known */
	size_t problems_len, problems_room;
	size_t entry;   /* whose content is visited */
	bool *repaired; /* owned; by entry; NULL: nothing was to be repaired */
};

static int no_memory(struct reason *why)
{
	reason_set(why, "out of memory");
	return EX_OSERR;
}

/* ── what to check ── */

static int add_digest(void *self, const struct digest *d)
{
	struct check *c = self;
	struct digest *list = array_room(c->digests, c->len, &c->room, sizeof(*list));

	if (!list) {
		c->is_short = true;
		return -ENOMEM;
	}
	c->digests = list;
	list[c->len++] = *d;
	return 0;
}

static void add_node(void *self, const struct graph_node *node)
{
	(void)add_digest(self, &node->digest);
}

static int compare_digests(const void *a, const void *b)
{
	return digest_compare(a, b);
}

static void sort_digests(struct check *c)
{
	size_t kept = 0;

	if (c->len > 1)
		qsort(c->digests, c->len, sizeof(*c->digests), compare_digests);
	for (size_t i = 0; i < c->len; i++)
		if (kept == 0 || !digest_eq(&c->digests[kept - 1], &c->digests[i]))
			c->digests[kept++] = c->digests[i];
	c->len = kept;
}

/* A damaged index.json is a finding: the blobs are checked all the same. */
static int read_names(struct check *c, struct reason *why)
{
	struct reason text = {""};
	struct descriptor d;
	const char *name;

	if (graph_new(c->job.layout, &c->graph) < 0)
		return no_memory(why);
	if (names_load(c->job.layout, &c->names, &text) < 0) {
		log_error("%s", text.text);
		c->names = NULL;
	}
	for (size_t i = 0; c->names && i < names_len(c->names); i++)
		if (names_at(c->names, i, &name, &d) == 0 && graph_add(c->graph, &d) < 0)
			return no_memory(why);
	return 0;
}

/* Everything that is stored, and everything that a name needs. */
static int choose_all(struct check *c, struct reason *why)
{
	struct descriptor d;
	const char *name;
	int r = inventory_each(c->job.layout, add_digest, c);

	if (r < 0 && !c->is_short) {
		reason_set(why, "cannot list '%s/" LAYOUT_BLOBS "': %s", layout_path(c->job.layout), strerror(-r));
		return exit_code_of(r);
	}
	for (size_t i = 0; c->names && i < names_len(c->names); i++)
		if (names_at(c->names, i, &name, &d) == 0)
			graph_each(c->graph, &d, add_node, c);
	return 0;
}

/* The content of a name; or one blob. */
static int choose_one(struct check *c, const char *text, struct reason *why)
{
	struct found f;
	struct reason inner;
	int r = find(c->job.layout, c->names, text, FIND_CONTENT, &f, &inner);

	if (r < 0) {
		reason_set(why, "cannot check '%s': %s", text, inner.text);
		return find_exit_code(r);
	}
	if (f.by_name)
		graph_each(c->graph, &f.descriptor, add_node, c);
	else
		(void)add_digest(c, &f.descriptor.digest);
	return 0;
}

static int choose(struct check *c, const struct call *call, struct reason *why)
{
	int code = read_names(c, why);

	if (code == 0 && call->argc == 0)
		code = choose_all(c, why);
	for (int i = 0; code == 0 && i < call->argc; i++)
		code = choose_one(c, call->argv[i], why);
	if (code == 0 && c->is_short)
		code = no_memory(why);
	sort_digests(c);
	return code;
}

/* ── checking ── */

static uint64_t size_of(const struct check *c, const struct digest *d)
{
	uint64_t size;

	return layout_blob_size(c->job.layout, d, &size) == 0 ? size : 0;
}

static void answered(void *self, size_t number, enum fail_class f, struct span text)
{
	struct check *c = self;
	struct bar *bar = progress_bar(c->job.progress, c->bar);
	struct problem *list;

	bar->offset += f == FAIL_NONE ? size_of(c, &c->digests[number]) : 0;
	progress_changed(c->job.progress, c->bar);
	if (f == FAIL_NONE)
		return;
	list = array_room(c->problems, c->problems_len, &c->problems_room, sizeof(*list));
	char *copy = list ? strndup((const char *)text.data, text.len) : NULL;
	c->problems = list ? list : c->problems;
	if (!copy) {
		c->is_short = true;
		return;
	}
	bool is_known = f == FAIL_BAD_DATA || f == FAIL_NOT_FOUND;
	list[c->problems_len++] =
	    (struct problem){.digest = c->digests[number], .is = is_known ? f : FAIL_IO, .text = copy};
}

static void tick(void *self)
{
	progress_tick(((struct check *)self)->job.progress);
}

static int begin_bar(struct check *c, struct reason *why)
{
	for (size_t i = 0; i < c->len; i++)
		c->bytes += size_of(c, &c->digests[i]);
	if (progress_add(c->job.progress, "check", c->bytes, &c->bar) < 0)
		return no_memory(why);
	struct bar *bar = progress_bar(c->job.progress, c->bar);
	(void)snprintf(bar->label, sizeof(bar->label), "check");
	bar->word = "checking";
	bar->begun = true;
	bar->state = TRANSFER_FETCHING;
	progress_changed(c->job.progress, c->bar);
	return 0;
}

static int check_all(struct check *c, bool is_whole, struct reason *why)
{
	const struct settings *s = c->settings;
	const struct checks_order order = {
	    .client = c->job.client,
	    .runtime_dir = s->context.places.runtime,
	    .flags = is_whole ? 0 : CHECK_FLAG_ANEW,
	    .age_s = s->check_since_ms / 1000,
	    .answered = answered,
	    .tick = tick,
	    .self = c,
	};
	const struct message finish = {.type = MSG_CHECK, .flags = CHECK_FLAG_FINISH};
	struct message answer;
	int code = begin_bar(c, why);

	if (code == 0)
		code = checks_run(&order, c->digests, c->len, why);
	if (code == 0 && c->is_short)
		code = no_memory(why);
	if (code == 0 && is_whole)
		code = client_demand(c->job.client, STAGE_COMMITD, &finish, MSG_OK, &answer, why);
	if (code != 0)
		return code;
	struct bar *bar = progress_bar(c->job.progress, c->bar);
	bar->state = TRANSFER_COMMITTED;
	bar->word = NULL;
	bar->offset = bar->total;
	progress_changed(c->job.progress, c->bar);
	return 0;
}

/* ── who needs what is wrong ── */

static int compare_problems(const void *a, const void *b)
{
	return digest_compare(&((const struct problem *)a)->digest, &((const struct problem *)b)->digest);
}

static bool may_be_missing(const struct check *c, const struct problem *p)
{
	return p->is == FAIL_NOT_FOUND && names_lists(names_left_out(c->names, c->entry), &p->digest);
}

static void note_needer(void *self, const struct graph_node *node)
{
	struct check *c = self;
	const struct problem key = {.digest = node->digest};
	struct problem *p = c->problems_len > 0
				? bsearch(&key, c->problems, c->problems_len, sizeof(*c->problems), compare_problems)
				: NULL;

	if (!p)
		return;
	if (may_be_missing(c, p)) {
		p->is_left_out = true;
		return;
	}
	size_t *list = array_room(p->needers, p->needers_len, &p->needers_room, sizeof(*list));
	if (!list) {
		c->is_short = true;
		return;
	}
	p->needers = list;
	list[p->needers_len++] = c->entry;
}

static void find_needers(struct check *c)
{
	struct descriptor d;
	const char *name;
	size_t kept = 0;

	if (c->problems_len > 1)
		qsort(c->problems, c->problems_len, sizeof(*c->problems), compare_problems);
	for (c->entry = 0; c->names && c->problems_len > 0 && c->entry < names_len(c->names); c->entry++)
		if (names_at(c->names, c->entry, &name, &d) == 0)
			graph_each(c->graph, &d, note_needer, c);
	for (size_t i = 0; i < c->problems_len; i++) {
		if (c->problems[i].is_left_out && c->problems[i].needers_len == 0)
			free(c->problems[i].text);
		else
			c->problems[kept++] = c->problems[i];
	}
	c->problems_len = kept;
}

static const char *name_of_entry(const struct check *c, size_t entry)
{
	struct descriptor d;
	const char *name = NULL;

	(void)names_at(c->names, entry, &name, &d);
	return name ? name : "an entry without a name";
}

/* ── repair ── */

/* Whether something that can be fetched is wrong below that entry. */
static bool lacks(const struct check *c, size_t entry)
{
	for (size_t i = 0; i < c->problems_len; i++)
		for (size_t k = 0; c->problems[i].is != FAIL_IO && k < c->problems[i].needers_len; k++)
			if (c->problems[i].needers[k] == entry)
				return true;
	return false;
}

static int repair_entry(struct check *c, const struct call *call, size_t entry)
{
	const char *name = NULL;
	struct descriptor d;
	struct reason why = {""};

	if (names_at(c->names, entry, &name, &d) < 0)
		return 0;
	if (!name || !pull_knows_source(name)) {
		log_warning("cannot repair '%s': it is not known where it came from", name_of_entry(c, entry));
		return 0;
	}
	int code = pull_again(call, &c->job, name, &d, &why);
	if (code == EXIT_INTERRUPTED)
		return code;
	c->repaired[entry] = code == 0;
	if (code != 0)
		report_error("repair", name, code, NULL, &why);
	else if (!c->settings->context.json && !c->settings->context.quiet)
		(void)printf("repaired %s\n", name);
	return 0;
}

/* Whether it is good now, or nobody needs it any more. */
static int check_again(struct check *c, struct problem *p, struct reason *why)
{
	char digest[DIGEST_TEXT_SIZE];
	struct message answer;

	digest_format(&p->digest, digest);
	const struct message m = {.type = MSG_CHECK, .digest = span_str(digest), .flags = CHECK_FLAG_ANEW};
	int code = client_ask(c->job.client, STAGE_COMMITD, &m, &answer, why);
	p->is_over =
	    code == 0 && (answer.type == MSG_OK || (p->needers_len == 0 && answer.fail_class == FAIL_NOT_FOUND));
	return code;
}

static int repair(struct check *c, const struct call *call, struct reason *why)
{
	int code = 0;

	if (c->problems_len == 0)
		return 0;
	c->repaired = calloc((c->names ? names_len(c->names) : 0) + 1, sizeof(*c->repaired));
	if (!c->repaired)
		return no_memory(why);
	for (size_t i = 0; code == 0 && c->names && i < names_len(c->names); i++)
		if (lacks(c, i))
			code = repair_entry(c, call, i);
	if (code != 0)
		reason_set(why, "interrupted");
	for (size_t i = 0; code == 0 && i < c->problems_len; i++)
		code = check_again(c, &c->problems[i], why);
	return code;
}

/* ── the result ── */

static const char *word_of(enum fail_class f)
{
	return f == FAIL_BAD_DATA ? "damaged" : f == FAIL_NOT_FOUND ? "missing" : "unreadable";
}

static void print_problem(const struct check *c, const struct problem *p)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&p->digest, digest);
	(void)printf("%-10s  %s\n            %s\n", word_of(p->is), digest, p->text);
	for (size_t i = 0; i < p->needers_len; i++)
		(void)printf("            needed by %s\n", name_of_entry(c, p->needers[i]));
	if (p->needers_len == 0)
		(void)printf("            needed by no name\n");
}

static struct json_t *json_of_problem(const struct check *c, const struct problem *p)
{
	struct json_t *object = json_object_make(), *names = json_array_make();
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&p->digest, digest);
	(void)json_set_text(object, "digest", digest);
	(void)json_set_text(object, "state", word_of(p->is));
	(void)json_set_text(object, "text", p->text);
	for (size_t i = 0; i < p->needers_len; i++)
		(void)json_append_text(names, name_of_entry(c, p->needers[i]));
	(void)json_set(object, "needed_by", names);
	return object;
}

static void count_problems(const struct check *c, uint64_t ret_count[static FAIL_CLASS_MAX + 1])
{
	for (size_t i = 0; i < c->problems_len; i++)
		ret_count[c->problems[i].is]++;
}

static void print_json(const struct check *c)
{
	uint64_t count[FAIL_CLASS_MAX + 1] = {0};
	AUTO_JSON line = json_object_make();
	struct json_t *problems = json_array_make(), *repaired = json_array_make();

	count_problems(c, count);
	(void)json_set_text(line, "event", "done");
	(void)json_set_u64(line, "checked", c->len);
	(void)json_set_u64(line, "bytes", c->bytes);
	(void)json_set_u64(line, "damaged", count[FAIL_BAD_DATA]);
	(void)json_set_u64(line, "missing", count[FAIL_NOT_FOUND]);
	(void)json_set_u64(line, "unreadable", count[FAIL_IO]);
	for (size_t i = 0; i < c->problems_len; i++)
		(void)json_append(problems, json_of_problem(c, &c->problems[i]));
	(void)json_set(line, "problems", problems);
	for (size_t i = 0; c->repaired && c->names && i < names_len(c->names); i++)
		if (c->repaired[i])
			(void)json_append_text(repaired, name_of_entry(c, i));
	(void)json_set(line, "repaired", repaired);
	report_json(line);
}

static void print_summary(const struct check *c)
{
	uint64_t count[FAIL_CLASS_MAX + 1] = {0};
	char bytes[TEXT_PROSE_ROOM];

	count_problems(c, count);
	text_size_prose(c->bytes, bytes);
	(void)printf("checked %zu blobs, %s: %" PRIu64 " damaged, %" PRIu64 " missing, %" PRIu64 " unreadable\n",
		     c->len, bytes, count[FAIL_BAD_DATA], count[FAIL_NOT_FOUND], count[FAIL_IO]);
}

/* What is still wrong: all of it, or what a repair has left. */
static int exit_code_for(const struct check *c, struct reason *why)
{
	enum fail_class worst = c->names ? FAIL_NONE : FAIL_BAD_DATA;
	size_t left = !c->names;

	for (size_t i = 0; i < c->problems_len; i++) {
		if (c->problems[i].is_over)
			continue;
		left++;
		worst = report_worse(worst, c->problems[i].is);
	}
	reason_set(why, "%zu %s wrong%s", left, left == 1 ? "thing is" : "things are",
		   c->settings->check_repair ? ", and could not be repaired"
					     : "; 'sluice check --repair' fetches it again");
	return fail_exit_code(worst);
}

static int check(struct check *c, const struct call *call, struct reason *why)
{
	const struct context *ctx = &c->settings->context;
	int code = job_begin(&c->job, ctx, progress_mode_for(ctx->json, ctx->quiet), why);

	if (code == 0)
		code = choose(c, call, why);
	if (code == 0)
		code = check_all(c, call->argc == 0, why);
	job_end_progress(&c->job);
	if (code != 0)
		return code;
	find_needers(c);
	for (size_t i = 0; !ctx->json && i < c->problems_len; i++)
		print_problem(c, &c->problems[i]);
	if (c->settings->check_repair)
		code = repair(c, call, why);
	job_end_progress(&c->job);
	if (code != 0)
		return code;
	if (ctx->json)
		print_json(c);
	else if (!ctx->quiet)
		print_summary(c);
	return exit_code_for(c, why);
}

static void release(struct check *c)
{
	for (size_t i = 0; i < c->problems_len; i++) {
		free(c->problems[i].text);
		free(c->problems[i].needers);
	}
	free(c->problems);
	free(c->digests);
	free(c->repaired);
	graph_free(c->graph);
	names_free(c->names);
}

static int run(const struct call *call)
{
	struct check c = {.settings = call->settings};
	struct reason why = {""};
	int code = check(&c, call, &why);

	job_end_progress(&c.job);
	if (code != 0)
		report_error("check", c.settings->context.places.store, code, NULL, &why);
	release(&c);
	return report_stdout(job_end(&c.job, code));
}

const struct verb command_check = {
    .name = "check",
    .usage = "[OPTION...] [NAME|DIGEST...]",
    .summary = "read stored content back, and say what is damaged",
    .help = "Without operands, everything that is stored; a check that was interrupted then\n"
	    "goes on where it was. What is damaged is moved away, so that the next pull of\n"
	    "a name that needs it, or --repair, fetches it again.\n",
    .operands_min = 0,
    .operands_max = OPERANDS_ANY,
    .options = options,
    .hides_globals = true,
    .run = run,
};
