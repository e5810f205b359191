/* SPDX-License-Identifier: Apache-2.0 */
/*
 * extract: the files of an artifact, below a directory of the user's. First everything is decided and checked: the titles
 * (extract_plan.h), what is in their way (target.h), how the files get there, and whether there is room. Then each file is put
 * there by outfile.h, in the order of its path.
 */

/* System */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/escape.h"
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/lease.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/extract_plan.h"
#include "sluice/cmd/extracted.h"
#include "sluice/cmd/report.h"
#include "sluice/run/hold.h"
#include "sluice/run/interrupt.h"
#include "sluice/run/job.h"
#include "sluice/run/outfile.h"
#include "sluice/run/target.h"

static const struct opt options[] = {
    {.name = "title",
     .kind = OPT_TEXTS,
     .at = offsetof(struct settings, extract_titles),
     .min = 1,
     .arg = "TITLE",
     .help = "this file alone; may be repeated"},
    {.name = "digest",
     .kind = OPT_TEXTS,
     .at = offsetof(struct settings, extract_digests),
     .min = 1,
     .max = DIGEST_TEXT_MAX,
     .arg = "DIGEST",
     .help = "this file, by 6 digits or more; may be repeated"},
    {.name = "link",
     .kind = OPT_CHOICE,
     .at = offsetof(struct settings, extract_link),
     .def = "auto",
     .choices = outfile_link_names,
     .arg = "HOW",
     .help = "auto, reflink, copy or symlink"},
    {.name = NULL},
};

struct extract {
	const struct settings *settings;
	struct job job;
	struct layout *layout; /* the job's, or our own */
	struct names *names;
	struct hold *hold;   /* while we work; NULL: there is no commitd that we may ask */
	struct hold *record; /* of links: without end */
	struct found found;
	struct plan plan;
	uint64_t needs; /* bytes at most at once, if all is copied: what is replaced goes as its successor comes */
	enum outfile_link link;
	struct target target;
	size_t done; /* files */
};

static int refuse_title(const struct extract *x, const char *title, int code, struct reason *why)
{
	reason_set(why, "cannot put '%.160s' below '%.160s': %s", title, x->target.path, why->text);
	return code;
}

static int check_ways(struct extract *x, struct reason *why)
{
	const char *one, *other;
	uint64_t net = 0, frees;

	for (size_t i = 0; i < x->plan.len; i++) {
		int code = target_check(&x->target, x->plan.files[i].title, &frees, why);
		if (code != 0)
			return refuse_title(x, x->plan.files[i].title, code, why);
		if (__builtin_add_overflow(net, plan_content(&x->plan, i)->size, &net))
			net = UINT64_MAX;
		x->needs = net > x->needs ? net : x->needs;
		net -= frees < net ? frees : net;
	}
	if (!titles_find_alike(x->plan.files, x->plan.len, &one, &other) || !outfile_ignores_case(x->target.fd))
		return 0;
	reason_set(why, "'%.160s' and '%.160s' are one path in '%.100s', where the case of letters does not count", one,
		   other, x->target.path);
	return EX_CANTCREAT;
}

/* ── how, and whether there is room ── */

static bool can_reflink(const struct extract *x)
{
	for (size_t i = 0; i < x->plan.len; i++) {
		const struct descriptor *d = plan_content(&x->plan, i);
		if (d->size > 0)
			return outfile_can_reflink(x->layout, &d->digest, x->target.fd);
	}
	return true;
}

static int check_room(const struct extract *x, struct reason *why)
{
	char needs[TEXT_PROSE_ROOM], free_text[TEXT_PROSE_ROOM];
	uint64_t left;

	if (file_space_left(x->target.fd, &left) < 0 || x->needs <= left)
		return 0;
	text_size_prose(x->needs, needs);
	text_size_prose(left, free_text);
	reason_set(why, "needs %s; %s free on '%s'", needs, free_text, x->target.path);
	return EX_TEMPFAIL;
}

static int check_means(const struct extract *x, struct reason *why)
{
	if (x->link == OUTFILE_SYMLINK)
		return 0;
	if (x->link != OUTFILE_COPY && can_reflink(x))
		return 0;
	if (x->link == OUTFILE_REFLINK) {
		reason_set(why, "files in '%s' cannot share the blocks of the store: use --link copy or --link symlink",
			   x->target.path);
		return EX_USAGE;
	}
	for (size_t i = 0; x->link == OUTFILE_AUTO && i < x->plan.len; i++) {
		if (plan_content(&x->plan, i)->size <= OUTFILE_COPIED_MAX)
			continue;
		reason_set(why,
			   "'%.200s' has more than 1 GiB, and files in '%.160s' cannot share the blocks of the store: "
			   "use --link copy or --link symlink",
			   x->plan.files[i].title, x->target.path);
		return EX_USAGE;
	}
	return check_room(x, why);
}

/* ── leases ── */

/* The name for people: one without blanks, else the digest. */
static void name_of(const struct extract *x, char *out, size_t size)
{
	char digest[DIGEST_TEXT_SIZE];

	digest_format(&x->found.descriptor.digest, digest);
	bool is_name = x->found.by_name && x->found.name && name_is_valid(span_str(x->found.name));
	(void)snprintf(out, size, "%s", is_name ? x->found.name : digest);
}

static int no_memory(struct reason *why)
{
	reason_set(why, "out of memory");
	return EX_OSERR;
}

/* What we read stays while we read it. */
static int take_lease(struct extract *x, struct reason *why)
{
	AUTO_BUF purpose = BUF_INIT;
	char name[NAME_MAX_BYTES + 1];

	if (!x->job.client)
		return 0;
	name_of(x, name, sizeof(name));
	if (buf_appendf(&purpose, "extract %s", name) < 0 ||
	    hold_new(x->job.client, purpose.data, LEASE_BY_HAND_S, &x->hold) < 0 ||
	    hold_add_root(x->hold, &x->found.descriptor.digest) < 0)
		return no_memory(why);
	return hold_send(x->hold, why);
}

static void beat(void *self)
{
	struct extract *x = self;
	struct reason why;

	if (x->hold && !hold_renew(x->hold) && hold_add_root(x->hold, &x->found.descriptor.digest) == 0)
		(void)hold_send(x->hold, &why);
}

/* What links lead to stays until somebody ends the record. It comes first: no link is ever without one. */
static int take_record(struct extract *x, struct reason *why)
{
	AUTO_BUF purpose = BUF_INIT;
	AUTO_FREE char *real = realpath(x->target.path, NULL);
	char name[NAME_MAX_BYTES + 1];

	if (x->link != OUTFILE_SYMLINK)
		return 0;
	if (!real) {
		reason_set(why, "'%s': %s", x->target.path, strerror(errno));
		return exit_code_of(-errno);
	}
	name_of(x, name, sizeof(name));
	int r = extracted_purpose(name, real, &purpose, why);
	if (r < 0)
		return r == -EINVAL ? EX_USAGE : EX_OSERR;
	bool was_there = extracted_exists(x->layout, purpose.data);
	if (hold_new(x->job.client, purpose.data, 0, &x->record) < 0 ||
	    hold_add_root(x->record, &x->plan.artifact.digest) < 0)
		return no_memory(why);
	int code = hold_send(x->record, why);
	if (code == 0 && !hold_is_kept(x->record)) {
		reason_set(why,
			   "commitd keeps no record of the links, so a 'sluice gc' could remove what they lead to");
		code = EX_TEMPFAIL;
	}
	if (was_there) {
		hold_free(x->record); /* it is not ours to end */
		x->record = NULL;
	}
	return code;
}

/* ── putting ── */

static void print_file(const struct extract *x, size_t i, enum outfile_link how)
{
	const struct context *ctx = &x->settings->context;
	const struct descriptor *d = plan_content(&x->plan, i);
	AUTO_JSON line = ctx->json ? json_object_make() : NULL;
	AUTO_BUF path = BUF_INIT;
	char digest[DIGEST_TEXT_SIZE], size[TEXT_SIZE_ROOM], shown[PATH_MAX + TITLE_MAX];

	if (buf_appendf(&path, "%s/%s", x->target.path, x->plan.files[i].title) < 0)
		return;
	digest_format(&d->digest, digest);
	if (line) {
		(void)json_set_text(line, "path", path.data);
		(void)json_set_text(line, "title", x->plan.files[i].title);
		(void)json_set_text(line, "digest", digest);
		(void)json_set_u64(line, "size", d->size);
		(void)json_set_text(line, "how", outfile_link_names[how]);
		report_json(line);
		return;
	}
	(void)escape_line(path.data, path.len, shown, sizeof(shown));
	text_size(d->size, size);
	if (ctx->quiet)
		(void)printf("%s\n", shown);
	else
		(void)printf("%-7s  %8s  %s\n", outfile_link_names[how], size, shown);
}

static int put_one(struct extract *x, size_t i, struct reason *why)
{
	const struct titled *file = &x->plan.files[i];
	const struct descriptor *d = plan_content(&x->plan, i);
	const char *name;
	enum outfile_link how;
	int dir_fd;
	const struct outfile o = {
	    .layout = x->layout, .digest = &d->digest, .size = d->size, .link = x->link, .beat = beat, .self = x};

	int code = interrupt_seen() ? EXIT_INTERRUPTED : target_enter(&x->target, file->title, &dir_fd, &name, why);
	if (code == 0)
		code = outfile_put(&o, dir_fd, name, &how, why);
	if (code == EXIT_INTERRUPTED)
		reason_set(why, "interrupted; what is there is whole, run the same command to go on");
	if (code != 0)
		return refuse_title(x, file->title, code, why);
	x->done++;
	print_file(x, i, how);
	beat(x);
	return 0;
}

static int put_all(struct extract *x, struct reason *why)
{
	int code = 0;

	for (size_t i = 0; code == 0 && i < x->plan.len; i++)
		code = put_one(x, i, why);
	struct reason late;
	int synced = target_leave(&x->target, code == 0 ? why : &late);
	return code != 0 ? code : synced;
}

/* ── the command ── */

/* A directory that we made, and put nothing into, goes again. A record without a link, too. */
static void take_back(struct extract *x)
{
	if (x->done == 0)
		target_remove(&x->target);
	if (x->record && x->done == 0)
		hold_release(x->record);
}

/* Who may read the store, and not ask commitd, goes without a lease; links need one. */
static int begin(struct extract *x, struct reason *why)
{
	const struct context *ctx = &x->settings->context;
	int code = job_begin(&x->job, ctx, ctx->json || ctx->quiet ? PROGRESS_NONE : PROGRESS_LINES, why);

	job_end_progress(&x->job);
	x->layout = x->job.layout;
	if (code == 0 || x->link == OUTFILE_SYMLINK || (code != EX_NOPERM && code != EX_CANTCREAT))
		return code;
	log_warning("no lease, so that a 'sluice gc' may remove what is being extracted: %s", why->text);
	int r = layout_open(ctx->places.store, LAYOUT_READER, &x->layout, why);
	return r < 0 ? exit_code_of(r) : 0;
}

static int plan(struct extract *x, const char *text, struct reason *why)
{
	int r = names_load(x->layout, &x->names, why);

	if (r == 0)
		r = find(x->layout, x->names, text, FIND_CONTENT, &x->found, why);
	if (r < 0)
		return find_exit_code(r);
	int code = take_lease(x, why);
	const struct plan_order order = {
	    .layout = x->layout,
	    .names = x->names,
	    .found = &x->found,
	    .titles = &x->settings->extract_titles,
	    .digests = &x->settings->extract_digests,
	};
	return code == 0 ? plan_make(&order, &x->plan, why) : code;
}

static int work(struct extract *x, const char *text, struct reason *why)
{
	int code = begin(x, why);

	if (code == 0)
		code = plan(x, text, why);
	if (code == 0)
		code = target_open(&x->target, x->target.path, x->layout, why);
	if (code == 0)
		code = check_ways(x, why);
	if (code == 0)
		code = check_means(x, why);
	if (code == 0)
		code = take_record(x, why);
	return code == 0 ? put_all(x, why) : code;
}

static void print_result(const struct extract *x)
{
	AUTO_JSON line = x->settings->context.json ? json_object_make() : NULL;
	char digest[DIGEST_TEXT_SIZE];

	if (line) {
		digest_format(&x->plan.artifact.digest, digest);
		(void)json_set_text(line, "event", "done");
		(void)json_set_text(line, "digest", digest);
		(void)json_set_text(line, "target", x->target.path);
		(void)json_set_u64(line, "files", x->done);
		(void)json_set_u64(line, "size", x->plan.bytes);
		report_json(line);
	} else if (x->link == OUTFILE_SYMLINK && !x->settings->context.quiet) {
		(void)printf("the store keeps what the links lead to until 'sluice rm --extracted %s'\n",
			     x->target.path);
	}
}

static bool digests_are_valid(const struct opt_texts *digests, struct reason *why)
{
	char shown[SHOWN_SIZE];

	for (size_t i = 0; i < digests->len; i++) {
		if (find_is_digits(digests->list[i]))
			continue;
		shown_of(span_str(digests->list[i]), shown);
		reason_set(why, "'%s' is not a digest, or at least %d digits of one", shown, FIND_DIGITS_MIN);
		return false;
	}
	return true;
}

static int run(const struct call *call)
{
	const struct settings *s = call->settings;
	struct extract x = {.settings = s,
			    .link = (enum outfile_link)s->extract_link,
			    .target = {.path = call->argv[1], .fd = -1, .dir_fd = -1}};
	struct reason why = {""};
	int code = digests_are_valid(&s->extract_digests, &why) ? work(&x, call->argv[0], &why) : EX_USAGE;

	if (code == 0)
		print_result(&x);
	else {
		report_error("extract", call->argv[0], code, NULL, &why);
		take_back(&x);
	}
	if (x.hold)
		hold_release(x.hold);
	hold_free(x.hold);
	hold_free(x.record);
	plan_release(&x.plan);
	names_free(x.names);
	target_release(&x.target);
	if (x.layout != x.job.layout)
		layout_free(x.layout);
	return report_stdout(job_end(&x.job, code));
}

const struct verb command_extract = {
    .name = "extract",
    .usage = "[OPTION...] NAME|DIGEST DIR",
    .summary = "put the files of an artifact into a directory",
    .help = "Each file gets the path below DIR that its title says, and is whole or absent.\n"
	    "All titles are checked before anything is written. DIR is created if needed.\n"
	    "With --link auto files share the blocks of the store where the file system\n"
	    "can, else files of up to 1 GiB are copied, and larger ones are refused. With\n"
	    "symlink they are links into the store, which keeps what they lead to until\n"
	    "'sluice rm --extracted DIR'.\n",
    .operands_min = 2,
    .operands_max = 2,
    .options = options,
    .hides_globals = true,
    .run = run,
};
