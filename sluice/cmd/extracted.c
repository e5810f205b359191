/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/cmd/extracted.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

/* Base */
#include "common/base/array.h"
#include "common/base/clock.h"
#include "common/base/date.h"
#include "common/base/escape.h"
#include "common/base/exit.h"
#include "common/base/file.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/lease.h"

/* Sluice */
#include "sluice/cmd/command.h"
#include "sluice/cmd/report.h"
#include "sluice/run/interrupt.h"
#include "sluice/run/job.h"
#include "sluice/show/table.h"
#include "sluice/show/text.h"

#define HEAD         "extract "
#define MIDDLE       " to "
#define TARGET_LEAST 12

enum { TARGET, NAME, SINCE, COLUMNS };

struct record {
	char id[LEASE_ID_MAX + 1];
	char purpose[LEASE_PURPOSE_MAX + 1];
	char name[LEASE_PURPOSE_MAX + 1];
	uint64_t since_s; /* wall clock: when it was last extracted */
};

struct records {
	struct record *list; /* owned */
	size_t len, room;
};

static const char *target_of(const struct record *r)
{
	return r->purpose + strlen(HEAD) + strlen(r->name) + strlen(MIDDLE);
}

int extracted_purpose(const char *name, const char *target, struct buf *out, struct reason *why)
{
	char line[4 * LEASE_PURPOSE_MAX + 1];
	size_t before = out->len;

	int r = buf_appendf(out, HEAD "%s" MIDDLE "%s", name, target);
	if (r < 0) {
		reason_set(why, "out of memory");
		return r;
	}
	if (out->len - before > LEASE_PURPOSE_MAX) {
		reason_set(why, "the name and the path of the directory have more than %d bytes together",
			   LEASE_PURPOSE_MAX - (int)strlen(HEAD MIDDLE));
		return -EINVAL;
	}
	if (escape_line(target, strlen(target), line, sizeof(line)) != strlen(target)) {
		reason_set(why, "the path of the directory has characters that cannot be shown");
		return -EINVAL;
	}
	return 0;
}

/* Whether a lease is such a record, and of what. */
static bool parse(const struct lease *l, struct record *r)
{
	const char *name = l->purpose + strlen(HEAD), *middle = strstr(l->purpose, MIDDLE);

	if (l->ttl_s > 0 || strncmp(l->purpose, HEAD, strlen(HEAD)) != 0 || !middle || middle < name)
		return false;
	memcpy(r->purpose, l->purpose, sizeof(r->purpose));
	(void)snprintf(r->name, sizeof(r->name), "%.*s", (int)(middle - name), name);
	return true;
}

static int add(struct records *rs, int dir_fd, const char *id)
{
	char file[LEASE_NAME_SIZE];
	struct record *list, r = {.since_s = 0};
	struct lease lease;
	struct stat st;

	lease_file_name(id, file);
	/* What ends meanwhile, or is no lease, is none. */
	if (lease_load(dir_fd, id, &lease, NULL, NULL) < 0 || fstatat(dir_fd, file, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    !parse(&lease, &r))
		return 0;
	(void)snprintf(r.id, sizeof(r.id), "%s", id);
	r.since_s = st.st_mtim.tv_sec > 0 ? (uint64_t)st.st_mtim.tv_sec : 0;
	list = array_room(rs->list, rs->len, &rs->room, sizeof(*list));
	if (!list)
		return -ENOMEM;
	rs->list = list;
	list[rs->len++] = r;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct record *x = a, *y = b;
	int order = strcmp(target_of(x), target_of(y));

	return order != 0 ? order : strcmp(x->name, y->name);
}

/* By directory. A store without leases/ has none. */
static int records_load(const struct layout *l, struct records *rs, struct reason *why)
{
	AUTO_FD fd = -1;
	int r = dir_open_at(layout_root_fd(l), LAYOUT_LEASES, false, &fd);
	int again = r == 0 ? openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	AUTO_DIR dir = again < 0 ? NULL : fdopendir(again);
	const struct dirent *e;
	char id[LEASE_ID_MAX + 1];

	if (r == -ENOENT)
		return 0;
	if (r == 0 && !dir)
		r = -errno;
	while (r == 0 && dir && (e = readdir(dir)))
		if (lease_id_of_file(e->d_name, id))
			r = add(rs, fd, id);
	if (r < 0)
		reason_set(why, "cannot read '%s/" LAYOUT_LEASES "': %s", layout_path(l), strerror(-r));
	else if (rs->len > 1)
		qsort(rs->list, rs->len, sizeof(*rs->list), compare);
	return r;
}

bool extracted_exists(struct layout *l, const char *purpose)
{
	struct records rs = {.list = NULL};
	bool found = false;

	if (records_load(l, &rs, NULL) == 0)
		for (size_t i = 0; !found && i < rs.len; i++)
			found = strcmp(rs.list[i].purpose, purpose) == 0;
	free(rs.list);
	return found;
}

/* ── ls --extracted ── */

static void print_json(const struct records *rs)
{
	AUTO_JSON array = json_array_make();
	char since[DATE_TEXT_SIZE];

	for (size_t i = 0; i < rs->len; i++) {
		struct json_t *object = json_object_make();
		if (!object)
			continue;
		(void)json_set_text(object, "target", target_of(&rs->list[i]));
		(void)json_set_text(object, "name", rs->list[i].name);
		date_format(rs->list[i].since_s, since);
		(void)json_set_text(object, "since", since);
		(void)json_append(array, object);
	}
	report_json(array);
}

static int print_table(const struct records *rs, bool quiet)
{
	static const char *const head[COLUMNS] = {"TARGET", "NAME", "SINCE"};
	static const struct table_fitting how = {.column = NAME, .least = TARGET_LEAST};
	AUTO_TABLE t = NULL;
	char since[DATE_TEXT_SIZE];
	int r = table_new(quiet ? 1 : COLUMNS, &t);

	if (r == 0 && !quiet)
		r = table_add(t, head);
	for (size_t i = 0; r == 0 && i < rs->len; i++) {
		date_format(rs->list[i].since_s, since);
		const char *const cells[COLUMNS] = {target_of(&rs->list[i]), rs->list[i].name, since};
		r = table_add(t, cells);
	}
	return r == 0 ? table_show(t, quiet ? NULL : &how) : r;
}

int extracted_list(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct records rs = {.list = NULL};
	struct layout *l = NULL;
	struct reason why = {""};
	int r = layout_open(ctx->places.store, LAYOUT_READER, &l, &why);

	if (r == 0)
		r = records_load(l, &rs, &why);
	if (r == 0 && ctx->json)
		print_json(&rs);
	else if (r == 0)
		r = print_table(&rs, ctx->quiet);
	if (r < 0)
		report_error("list what is extracted from", ctx->places.store, exit_code_of(r), NULL, &why);
	free(rs.list);
	layout_free(l);
	return report_stdout(exit_code_of(r));
}

/* ── rm --extracted ── */

/* The directory may be gone, so it is also found as it was given. */
static bool is_target(const struct record *r, const char *given)
{
	char real[PATH_MAX];

	return strcmp(target_of(r), given) == 0 || (realpath(given, real) && strcmp(target_of(r), real) == 0);
}

static int release(struct job *j, const struct record *r, struct reason *why)
{
	const struct message request = {.type = MSG_RELEASE, .name = span_str(r->id)};
	struct message answer;
	char file[LEASE_NAME_SIZE];
	AUTO_FD fd = -1;
	struct stat st;
	int code = client_demand(j->client, STAGE_COMMITD, &request, MSG_OK, &answer, why);

	lease_file_name(r->id, file);
	if (code == 0 && dir_open_at(layout_root_fd(j->layout), LAYOUT_LEASES, false, &fd) == 0 &&
	    fstatat(fd, file, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		reason_set(why, "an extract to it is running; try again when it has ended");
		code = EX_TEMPFAIL;
	}
	return code;
}

static void print_removed(const struct context *ctx, const struct record *r)
{
	AUTO_JSON line = ctx->json ? json_object_make() : NULL;
	char shown[4 * LEASE_PURPOSE_MAX + 1];

	if (line) {
		(void)json_set_text(line, "target", target_of(r));
		(void)json_set_text(line, "name", r->name);
		report_json(line);
	} else if (!ctx->quiet) {
		(void)escape_line(target_of(r), strlen(target_of(r)), shown, sizeof(shown));
		(void)printf("%s  %s\n", shown, r->name);
	}
}

static int remove_of(struct job *j, const struct context *ctx, const struct records *rs, const char *given,
		     struct reason *why)
{
	bool found = false;
	int code = 0;

	for (size_t i = 0; code == 0 && i < rs->len; i++) {
		if (!is_target(&rs->list[i], given))
			continue;
		found = true;
		code = release(j, &rs->list[i], why);
		if (code == 0)
			print_removed(ctx, &rs->list[i]);
	}
	if (found)
		return code;
	reason_set(why, "nothing was extracted there with --link symlink; 'sluice ls --extracted' lists what was");
	return EX_NOINPUT;
}

int extracted_remove(const struct call *call)
{
	const struct context *ctx = command_context(call);
	struct records rs = {.list = NULL};
	struct job j;
	struct reason why = {""};
	int code = job_begin(&j, ctx, ctx->quiet ? PROGRESS_NONE : PROGRESS_LINES, &why), first;

	job_end_progress(&j);
	if (code == 0)
		code = exit_code_of(records_load(j.layout, &rs, &why));
	first = code;
	if (code != 0)
		report_error("remove the record of", call->argv[0], code, NULL, &why);
	for (int i = 0; code == 0 && i < call->argc; i++) {
		struct reason one = {""};
		int r = remove_of(&j, ctx, &rs, call->argv[i], &one);
		if (r != 0)
			report_error("remove the record of", call->argv[i], r, NULL, &one);
		first = first ? first : r;
		if (r == EXIT_INTERRUPTED)
			break;
	}
	free(rs.list);
	return report_stdout(job_end(&j, first));
}
