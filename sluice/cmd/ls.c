/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ls and images: the names of a store, and what they stand for. They read the store and need no stage.
 */

/* System */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/date.h"
#include "common/base/exit.h"
#include "common/base/log.h"
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/cmd/blobs.h"
#include "sluice/cmd/command.h"
#include "sluice/cmd/extracted.h"
#include "sluice/cmd/find.h"
#include "sluice/cmd/graph.h"
#include "sluice/cmd/report.h"
#include "sluice/show/table.h"
#include "sluice/show/text.h"

#define UNKNOWN      "-"
#define NAME_LEAST   12
#define TIME_OF_NONE UINT64_MAX

enum { NAME, KIND, DIGEST, SIZE, PLATFORM, AGE, STATE, COLUMNS };

/* What is listed, and where it goes. */
struct listing {
	struct layout *layout;
	const struct names *names;
	struct graph *graph;
	bool images_only;
	bool on_terminal, quiet;
	struct table *table; /* or */
	struct json_t *array;
	uint64_t now_s;
};

struct entry {
	const char *name; /* or NULL */
	struct descriptor descriptor;
	enum image_kind kind;
	char platform[PLATFORM_TEXT_SIZE]; /* or "" */
	struct graph_sum sum;
	uint64_t stored_s; /* when its manifest was, or TIME_OF_NONE */
};

/* When the last byte of a blob was written here: its naming changes only its inode. */
static uint64_t stored_at(struct layout *l, const struct digest *d)
{
	struct stat st;
	AUTO_FD fd = -1;

	return layout_blob_open(l, d, &fd, &st) == 0 && st.st_mtim.tv_sec > 0 ? (uint64_t)st.st_mtim.tv_sec
									      : TIME_OF_NONE;
}

/* 0, 1 if it is an image or an index, or -ENOMEM. */
static int entry_read(struct listing *ls, size_t i, struct entry *e)
{
	const struct descriptor *d = &e->descriptor;
	int r = graph_add(ls->graph, d);
	const struct graph_node *node = r == 0 ? graph_find(ls->graph, &d->digest) : NULL;

	if (!node)
		return -ENOMEM;
	e->kind = node->kind;
	if (e->kind == IMAGE_UNKNOWN && media_type_is_index(d->media_type))
		e->kind = IMAGE_INDEX;
	graph_sum(ls->graph, d, names_left_out(ls->names, i), &e->sum);
	e->platform[0] = '\0';
	if (d->has_platform)
		platform_format(&d->platform, e->platform);
	e->stored_s = stored_at(ls->layout, &d->digest);
	return e->kind != IMAGE_ARTIFACT && e->kind != IMAGE_FILE;
}

static int entry_to_json(const struct listing *ls, const struct entry *e)
{
	char digest[DIGEST_TEXT_SIZE], stored[DATE_TEXT_SIZE];
	struct json_t *object = json_object_make();

	if (!object)
		return -ENOMEM;
	digest_format(&e->descriptor.digest, digest);
	if (e->name)
		(void)json_set_text(object, "name", e->name);
	if (image_kind_name(e->kind))
		(void)json_set_text(object, "kind", image_kind_name(e->kind));
	(void)json_set_text(object, "digest", digest);
	(void)json_set_text(object, "media_type", e->descriptor.media_type);
	if (*e->platform)
		(void)json_set_text(object, "platform", e->platform);
	(void)json_set_u64(object, "size", e->sum.bytes);
	if (e->stored_s != TIME_OF_NONE) {
		date_format(e->stored_s, stored);
		(void)json_set_text(object, "stored", stored);
	}
	(void)json_set_bool(object, "incomplete", e->sum.incomplete);
	return json_append(ls->array, object);
}

/* A time that is still to come is a clock's fault, and says nothing. */
static void format_age(const struct listing *ls, const struct entry *e, char ret_text[static TEXT_AGE_ROOM])
{
	if (e->stored_s != TIME_OF_NONE && e->stored_s <= ls->now_s)
		text_age(ls->now_s - e->stored_s, ret_text);
	else
		(void)snprintf(ret_text, TEXT_AGE_ROOM, UNKNOWN);
}

static int entry_print(struct listing *ls, const struct entry *e)
{
	char digest[DIGEST_TEXT_SIZE], label[TEXT_LABEL_ROOM], size[TEXT_SIZE_ROOM], age[TEXT_AGE_ROOM];
	const char *kind = image_kind_name(e->kind);

	if (ls->array)
		return entry_to_json(ls, e);
	digest_format(&e->descriptor.digest, digest);
	text_label(digest, label);
	text_size(e->sum.bytes, size);
	format_age(ls, e, age);
	const char *const cells[COLUMNS] = {
	    [NAME] = e->name ? e->name : UNKNOWN,
	    [KIND] = kind ? kind : UNKNOWN,
	    [DIGEST] = ls->on_terminal ? label : digest,
	    [SIZE] = size,
	    [PLATFORM] = *e->platform ? e->platform : UNKNOWN,
	    [AGE] = age,
	    [STATE] = e->sum.incomplete ? "incomplete" : "",
	};
	return ls->quiet && !e->name ? 0 : table_add(ls->table, cells);
}

/* Whether an operand matches this name or digest; without operands every one matches. Marks those that do. */
static bool is_wanted(const struct entry *e, int argc, char **argv, bool *matched)
{
	char full[REFERENCE_TEXT_SIZE], digest[DIGEST_TEXT_SIZE];
	struct reference reference;
	bool any = argc == 0;

	digest_format(&e->descriptor.digest, digest);
	for (int i = 0; i < argc; i++) {
		bool fits = e->name && strcmp(e->name, argv[i]) == 0;
		fits |= strcmp(digest, argv[i]) == 0 || (find_is_digits(argv[i]) && find_digits_fit(argv[i], digest));
		if (!fits && e->name && reference_parse(span_str(argv[i]), &reference, NULL) == 0) {
			reference_format(&reference, full);
			fits = strcmp(e->name, full) == 0;
		}
		matched[i] |= fits;
		any |= fits;
	}
	return any;
}

static int list_names(struct listing *ls, int argc, char **argv, bool *matched)
{
	struct entry e;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < names_len(ls->names); i++) {
		if (names_at(ls->names, i, &e.name, &e.descriptor) < 0)
			continue; /* another tool's entry, not a descriptor */
		if (!is_wanted(&e, argc, argv, matched))
			continue;
		r = entry_read(ls, i, &e);
		if (r > 0 || (r == 0 && !ls->images_only))
			r = entry_print(ls, &e);
	}
	return r < 0 ? r : 0;
}

static int listing_init(struct listing *ls, const struct context *ctx)
{
	static const char *const heads[COLUMNS] = {"NAME", "KIND", "DIGEST", "SIZE", "PLATFORM", "AGE", ""};
	int r = graph_new(ls->layout, &ls->graph);

	ls->now_s = clock_wall_s();
	ls->quiet = ctx->quiet;
	ls->on_terminal = isatty(STDOUT_FILENO);
	if (r == 0 && ctx->json)
		return (ls->array = json_array_make()) ? 0 : -ENOMEM;
	if (r == 0)
		r = table_new(ls->quiet ? 1 : COLUMNS, &ls->table);
	return r < 0 || ls->quiet ? r : table_add(ls->table, heads);
}

static int listing_finish(struct listing *ls)
{
	/* STATE stays: it is there for what needs attention. */
	static const unsigned dispensable[] = {AGE, PLATFORM, KIND, DIGEST, SIZE};
	static const struct table_fitting how = {
	    .column = NAME,
	    .least = NAME_LEAST,
	    .dispensable = dispensable,
	    .dispensable_len = sizeof(dispensable) / sizeof(dispensable[0]),
	};

	if (ls->array) {
		report_json(ls->array);
		return 0;
	}
	return table_show(ls->table, ls->quiet ? NULL : &how);
}

static void listing_release(struct listing *ls)
{
	json_free(ls->array);
	table_free(ls->table);
	graph_free(ls->graph);
}

/* 0, or 66 after a line for each operand that matched nothing. */
static int tell_unmatched(int argc, char **argv, const bool *matched)
{
	char shown[SHOWN_SIZE];
	int code = 0;

	for (int i = 0; i < argc; i++) {
		if (matched[i])
			continue;
		shown_of(span_str(argv[i]), shown);
		log_error("cannot list '%s': nothing has that name", shown);
		code = EX_NOINPUT;
	}
	return code;
}

static int list(const struct call *call, bool images_only)
{
	const struct context *ctx = command_context(call);
	struct listing ls = {.images_only = images_only};
	struct names *n;
	AUTO_FREE bool *matched = calloc((size_t)call->argc + 1, sizeof(*matched));
	int code = matched ? find_open(ctx->places.store, &ls.layout, &n) : EX_OSERR;

	if (code != 0)
		return code;
	ls.names = n;
	int r = listing_init(&ls, ctx);
	if (r == 0)
		r = list_names(&ls, call->argc, call->argv, matched);
	if (r == 0)
		r = listing_finish(&ls);
	if (r < 0)
		log_errno(r, "cannot list the content of '%s'", ctx->places.store);
	code = r < 0 ? exit_code_of(r) : tell_unmatched(call->argc, call->argv, matched);
	listing_release(&ls);
	names_free(n);
	layout_free(ls.layout);
	return report_stdout(code);
}

static int run_images(const struct call *call)
{
	return list(call, true);
}

static int run_ls(const struct call *call)
{
	const struct settings *s = call->settings;

	if (s->ls_extracted)
		return extracted_list(call);
	return s->ls_blobs ? blobs_list(call) : list(call, false);
}

static const struct opt options[] = {
    {.name = "blobs",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, ls_blobs),
     .def = "no",
     .help = "the stored blobs instead, and which names need them"},
    {.name = "extracted",
     .kind = OPT_FLAG,
     .at = offsetof(struct settings, ls_extracted),
     .def = "no",
     .help = "the directories whose files are links into the store"},
    {.name = NULL},
};

const struct verb command_ls = {
    .name = "ls",
    .usage = "[--blobs | --extracted] [NAME...]",
    .summary = "list names: images, indexes, artifacts and files",
    .help = "With their kind, digest, size of all content, platform, and how long ago the\n"
	    "manifest was stored. What is marked incomplete lacks content, which the next\n"
	    "pull or fetch gets. NAME may be a digest, or at least 6 digits of one.\n"
	    "With --quiet: only the names. With --json: name, kind, digest, media_type,\n"
	    "platform, size, stored, incomplete; with --blobs digest, size, needed_by (up to\n"
	    "3 names), needed_by_count; with --extracted target, name, since.\n",
    .operands_max = OPERANDS_ANY,
    .options = options,
    .run = run_ls,
};

const struct verb command_images = {
    .name = "images",
    .usage = "[NAME...]",
    .summary = "list the images and indexes: 'ls' of these kinds",
    .operands_max = OPERANDS_ANY,
    .run = run_images,
};
