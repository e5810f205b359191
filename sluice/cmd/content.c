/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ls, images and cat: what is stored. They read the store and need no stage.
 */

/* System */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

/* Base */
#include "common/base/array.h"
#include "common/base/exit.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/shown.h"

/* OCI */
#include "common/oci/json.h"
#include "common/oci/reference.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/image.h"
#include "sluice/cmd/report.h"
#include "sluice/show/table.h"
#include "sluice/show/text.h"

#define CAT_BLOCK_BYTES (256u << 10)
#define NAMELESS        "-"

/* Open the store, or log why not and return the exit code. */
static int open_store(const struct context *ctx, struct layout **ret_layout)
{
	struct reason why;
	int r = layout_open(ctx->places.store, LAYOUT_READER, ret_layout, &why);

	if (r < 0)
		log_error("%s", why.text);
	return r < 0 ? exit_code_of(r) : 0;
}

struct row {
	char digest[DIGEST_TEXT_SIZE];
	uint64_t size;
};

struct rows {
	struct row *list; /* owned */
	size_t len, room;
};

static int rows_add(struct rows *rs, const struct row *r)
{
	struct row *list = array_room(rs->list, rs->len, &rs->room, sizeof(*list));

	if (!list)
		return -ENOMEM;
	rs->list = list;
	rs->list[rs->len++] = *r;
	return 0;
}

static int rows_gather(struct layout *l, enum hash_alg alg, struct rows *rs)
{
	struct digest digest;
	struct row row;
	int r = 0;

	if (layout_blobs_fd(l, alg) < 0)
		return 0;
	int fd = openat(layout_blobs_fd(l, alg), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (const struct dirent *e = readdir(dir); r == 0 && e; e = readdir(dir)) {
		int n = snprintf(row.digest, sizeof(row.digest), "%s:%s", hash_name(alg), e->d_name);
		if (n < (int)sizeof(row.digest) && digest_parse(span_str(row.digest), &digest, NULL) == 0 &&
		    layout_blob_size(l, &digest, &row.size) == 0)
			r = rows_add(rs, &row);
	}
	return r;
}

static int row_compare(const void *a, const void *b)
{
	return strcmp(((const struct row *)a)->digest, ((const struct row *)b)->digest);
}

static int rows_print_json(const struct rows *rs)
{
	AUTO_JSON array = json_array_make();
	int r = array ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < rs->len; i++) {
		struct json_t *object = json_object_make();
		if (!object)
			return -ENOMEM;
		(void)json_set_text(object, "digest", rs->list[i].digest);
		(void)json_set_u64(object, "size", rs->list[i].size);
		r = json_append(array, object);
	}
	if (r == 0)
		report_json(array);
	return r;
}

static int rows_print(const struct context *ctx, const struct rows *rs)
{
	if (ctx->json)
		return rows_print_json(rs);
	for (size_t i = 0; i < rs->len; i++) {
		if (ctx->quiet)
			(void)printf("%s\n", rs->list[i].digest);
		else
			(void)printf("%s  %" PRIu64 "\n", rs->list[i].digest, rs->list[i].size);
	}
	return 0;
}

static int run_ls(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct layout *l;
	struct rows rs = {.list = NULL};
	int code = open_store(ctx, &l);

	if (code != 0)
		return code;
	int r = rows_gather(l, HASH_SHA256, &rs);
	if (r == 0)
		r = rows_gather(l, HASH_SHA512, &rs);
	if (r == 0 && rs.len > 1)
		qsort(rs.list, rs.len, sizeof(*rs.list), row_compare);
	if (r == 0)
		r = rows_print(ctx, &rs);
	if (r < 0)
		log_errno(r, "cannot list the content of '%s'", ctx->places.store);
	free(rs.list);
	layout_free(l);
	return report_stdout(r < 0 ? exit_code_of(r) : 0);
}

const struct verb command_ls = {
    .name = "ls",
    .usage = "",
    .summary = "list the stored blobs: digest and size",
    .run = run_ls,
};

/* Where the lines of `images` go. */
struct images_out {
	struct layout *layout;
	struct table *table; /* or */
	struct json_t *array;
	bool quiet; /* the table has only names */
};

static int image_to_json(const struct images_out *out, const char *name, const struct descriptor *d,
			 const char *platform, uint64_t bytes)
{
	char digest[DIGEST_TEXT_SIZE];
	struct json_t *object = json_object_make();

	if (!object)
		return -ENOMEM;
	digest_format(&d->digest, digest);
	if (name)
		(void)json_set_text(object, "name", name);
	(void)json_set_text(object, "digest", digest);
	(void)json_set_text(object, "media_type", d->media_type);
	if (*platform)
		(void)json_set_text(object, "platform", platform);
	(void)json_set_u64(object, "size", bytes);
	return json_append(out->array, object);
}

static int image_print(const struct images_out *out, const char *name, const struct descriptor *d)
{
	char digest[DIGEST_TEXT_SIZE], platform[PLATFORM_TEXT_SIZE] = "", size[TEXT_SIZE_ROOM];
	uint64_t bytes = 0;
	int r = image_size(out->layout, d, &bytes);

	if (r < 0)
		return r;
	if (d->has_platform)
		platform_format(&d->platform, platform);
	else if (media_type_is_index(d->media_type))
		(void)snprintf(platform, sizeof(platform), "%s", out->array ? "" : "index");
	if (out->array)
		return image_to_json(out, name, d, platform, bytes);
	digest_format(&d->digest, digest);
	text_size(bytes, size);
	const char *const cells[] = {name ? name : NAMELESS, digest, *platform ? platform : NAMELESS, size};
	return out->quiet && !name ? 0 : table_add(out->table, cells);
}

/* Whether an operand matches this name; without operands every name matches. */
static bool is_wanted(const char *name, int argc, char **argv)
{
	struct reference reference;
	char full[REFERENCE_TEXT_SIZE];

	for (int i = 0; name && i < argc; i++) {
		if (strcmp(name, argv[i]) == 0)
			return true;
		if (reference_parse(span_str(argv[i]), &reference, NULL) < 0)
			continue;
		reference_format(&reference, full);
		if (strcmp(name, full) == 0)
			return true;
	}
	return argc == 0;
}

static int print_images(const struct images_out *out, const struct names *n, int argc, char **argv, size_t *ret_shown)
{
	struct descriptor d;
	const char *name;
	int r = 0;

	for (size_t i = 0; r >= 0 && i < names_len(n); i++) {
		if (names_at(n, i, &name, &d) < 0 || !is_wanted(name, argc, argv))
			continue; /* another tool's entry, not a descriptor */
		r = image_print(out, name, &d);
		++*ret_shown;
	}
	return r;
}

static int images_out_init(struct images_out *out, const struct context *ctx)
{
	static const char *const heads[] = {"NAME", "DIGEST", "PLATFORM", "SIZE"};

	if (ctx->json)
		return (out->array = json_array_make()) ? 0 : -ENOMEM;
	out->quiet = ctx->quiet;
	if (out->quiet)
		return table_new(1, &out->table);
	int r = table_new(sizeof(heads) / sizeof(heads[0]), &out->table);
	return r < 0 ? r : table_add(out->table, heads);
}

static void images_out_finish(struct images_out *out, int r)
{
	if (r >= 0 && out->array)
		report_json(out->array);
	if (r >= 0 && out->table)
		table_print(out->table, SIZE_MAX, stdout);
	json_free(out->array);
	table_free(out->table);
}

static int list_images(const struct context *ctx, struct layout *l, int argc, char **argv)
{
	struct images_out out = {.layout = l};
	struct names *n;
	struct reason why;
	size_t shown = 0;
	int r = names_load(l, &n, &why);

	if (r < 0) {
		log_error("%s", why.text);
		return r == -EINVAL ? EX_DATAERR : exit_code_of(r);
	}
	r = images_out_init(&out, ctx);
	if (r == 0)
		r = print_images(&out, n, argc, argv, &shown);
	images_out_finish(&out, r);
	names_free(n);
	if (r < 0) {
		log_errno(r, "cannot list the images of '%s'", ctx->places.store);
		return exit_code_of(r);
	}
	if (argc > 0 && shown == 0) {
		char name[SHOWN_SIZE];
		shown_of(span_str(argv[0]), name);
		log_error("cannot list '%s': no image has that name", name);
		return EX_NOINPUT;
	}
	return 0;
}

static int run_images(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct layout *l;
	int code = open_store(ctx, &l);

	if (code != 0)
		return code;
	code = list_images(ctx, l, call->argc, call->argv);
	layout_free(l);
	return report_stdout(code);
}

const struct verb command_images = {
    .name = "images",
    .usage = "[NAME...]",
    .summary = "list the images: name, digest, platform, size of all their content",
    .operands_max = OPERANDS_ANY,
    .run = run_images,
};

static int copy_out(int fd)
{
	AUTO_FREE char *block = malloc(CAT_BLOCK_BYTES);
	size_t len = 0;
	int r = block ? 0 : -ENOMEM;

	do {
		if (r == 0)
			r = file_read_full(fd, block, CAT_BLOCK_BYTES, &len);
		if (r == 0)
			r = file_write_all(STDOUT_FILENO, block, len, NULL);
	} while (r == 0 && len == CAT_BLOCK_BYTES);
	return r;
}

static int run_cat(const struct call *call)
{
	const char *text = call->argv[0];
	struct digest digest;
	struct reason why;
	struct layout *l;
	char shown[SHOWN_SIZE];
	AUTO_FD fd = -1;

	shown_of(span_str(text), shown);
	if (digest_parse(span_str(text), &digest, &why) < 0) {
		log_error("cannot show '%s': %s", shown, why.text);
		return EX_USAGE;
	}
	int code = open_store(command_context(call), &l);
	if (code != 0)
		return code;
	int r = layout_blob_open(l, &digest, &fd, NULL);
	layout_free(l);
	if (r == 0) {
		/* As with cat(1): end silently when the reader stops. */
		(void)signal(SIGPIPE, SIG_DFL);
		r = copy_out(fd);
	}
	if (r == 0)
		return 0;
	if (r == -ENOENT)
		log_error("cannot show '%s': it is not stored", shown);
	else
		log_errno(r, "cannot show '%s'", shown);
	return exit_code_of(r);
}

const struct verb command_cat = {
    .name = "cat",
    .usage = "DIGEST",
    .summary = "write a stored blob to standard output",
    .operands_min = 1,
    .operands_max = 1,
    .run = run_cat,
};
