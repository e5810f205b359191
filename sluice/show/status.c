/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/show/status.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Base */
#include "common/base/array.h"
#include "common/base/date.h"
#include "common/base/file.h"

/* OCI */
#include "common/oci/json.h"

/* Store */
#include "common/store/record.h"

/* Sluice */
#include "sluice/show/text.h"

int status_list_add(struct status_list *list, const struct status *s)
{
	struct status *rows = array_room(list->rows, list->len, &list->room, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	list->rows = rows;
	rows[list->len++] = *s;
	return 0;
}

void status_list_release(struct status_list *list)
{
	free(list->rows);
	*list = (struct status_list){.rows = NULL};
}

void status_of_message(const struct message *m, struct status *ret_status)
{
	struct status s = {
	    .state = (enum transfer_state)m->state,
	    .offset = m->offset,
	    .total = m->size,
	    .rate = m->rate,
	    .started_s = m->started_s,
	    .updated_s = m->updated_s,
	    .until_s = m->until_s,
	    .attempts = m->attempt,
	    .rehashed = m->rehashed,
	    .fail_class = (enum fail_class)m->fail_class,
	};

	(void)snprintf(s.ref, sizeof(s.ref), "%.*s", SPAN_ARG(m->ref));
	(void)snprintf(s.digest, sizeof(s.digest), "%.*s", SPAN_ARG(m->digest));
	(void)snprintf(s.media_type, sizeof(s.media_type), "%.*s", SPAN_ARG(m->media_type));
	(void)snprintf(s.text, sizeof(s.text), "%.*s", SPAN_ARG(m->text));
	*ret_status = s;
}

static void status_of_record(const struct record *record, struct status *ret_status)
{
	struct status s = {
	    .state = TRANSFER_WAITING,
	    .total = record->size,
	    .started_s = record->started_s,
	    .updated_s = record->started_s,
	    .attempts = record->orders,
	    .fail_class = record->failed,
	};

	(void)snprintf(s.ref, sizeof(s.ref), "%s", record->ref);
	(void)snprintf(s.media_type, sizeof(s.media_type), "%s", record->media_type);
	if (record->has_sealed)
		digest_format(&record->sealed, s.digest);
	if (record->failed != FAIL_NONE)
		s.state = TRANSFER_FAILED;
	else if (record->has_sealed)
		s.state = TRANSFER_SEALED;
	(void)snprintf(s.text, sizeof(s.text), "%s",
		       s.state == TRANSFER_FAILED    ? record->why.text
		       : s.state == TRANSFER_WAITING ? TRANSFER_UNASKED
						     : "");
	*ret_status = s;
}

static int read_ingest(struct layout *l, const char *id, struct status *ret_status, struct reason *why)
{
	AUTO_FD dir_fd = -1;
	struct record record;
	struct reason detail;
	struct stat st;

	if (layout_ingest_fd(l) < 0)
		return -ENOENT;
	int r = dir_open_at(layout_ingest_fd(l), id, false, &dir_fd);
	if (r < 0) {
		reason_set(why, "%s", strerror(-r));
		return r;
	}
	r = record_load(dir_fd, id, &record, NULL, &detail);
	if (r < 0) {
		reason_set(why, "its record is not usable: %s", detail.text);
		return r == -ENOENT ? -EBADMSG : r;
	}
	status_of_record(&record, ret_status);
	if (fstatat(dir_fd, INGEST_DATA, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
		ret_status->offset = (uint64_t)st.st_size;
		ret_status->updated_s = (uint64_t)st.st_mtim.tv_sec;
	}
	/* A failure changes only the record. */
	if (fstatat(dir_fd, INGEST_TRANSFER, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (uint64_t)st.st_mtim.tv_sec > ret_status->updated_s)
		ret_status->updated_s = (uint64_t)st.st_mtim.tv_sec;
	return 0;
}

int status_of_store(struct layout *l, struct span ref, struct status *ret_status, struct reason *why)
{
	char id[INGEST_ID_SIZE];

	layout_ingest_id(ref, id);
	return read_ingest(l, id, ret_status, why);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct status *)a)->ref, ((const struct status *)b)->ref);
}

int status_list_of_store(struct layout *l, struct status_list *list)
{
	struct status status;
	int r = 0;

	if (layout_ingest_fd(l) < 0)
		return 0;
	int fd = openat(layout_ingest_fd(l), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (const struct dirent *e = readdir(dir); r == 0 && e; e = readdir(dir)) {
		if (strlen(e->d_name) == INGEST_ID_SIZE - 1 && read_ingest(l, e->d_name, &status, NULL) == 0)
			r = status_list_add(list, &status);
	}
	if (list->len > 1)
		qsort(list->rows, list->len, sizeof(status), compare);
	return r;
}

struct json_t *status_json(const struct status *s)
{
	struct json_t *object = json_object_make();

	if (object)
		status_json_into(s, object);
	return object;
}

void status_json_into(const struct status *s, struct json_t *object)
{
	char started[DATE_TEXT_SIZE], updated[DATE_TEXT_SIZE], until[DATE_TEXT_SIZE];
	uint64_t eta_s = text_eta_s(s->offset, s->total, s->rate);

	date_format(s->started_s, started);
	date_format(s->updated_s, updated);
	date_format(s->until_s, until);
	(void)json_set_text(object, "ref", s->ref);
	(void)json_set_text(object, "state", transfer_state_name(s->state));
	(void)json_set_u64(object, "offset", s->offset);
	if (s->total != SIZE_UNKNOWN)
		(void)json_set_u64(object, "total", s->total);
	if (s->digest[0])
		(void)json_set_text(object, "digest", s->digest);
	if (s->media_type[0])
		(void)json_set_text(object, "media_type", s->media_type);
	(void)json_set_u64(object, "rate", s->rate);
	if (s->state == TRANSFER_FETCHING && eta_s != TEXT_ETA_UNKNOWN)
		(void)json_set_u64(object, "eta_s", eta_s);
	(void)json_set_text(object, "started", started);
	(void)json_set_text(object, "updated", updated);
	if (s->until_s > 0)
		(void)json_set_text(object, "until", until);
	(void)json_set_u64(object, "attempts", s->attempts);
	(void)json_set_u64(object, "rehashed_bytes", s->rehashed);
	if (s->fail_class != FAIL_NONE)
		(void)json_set_text(object, "class", fail_class_name(s->fail_class));
	if (s->text[0])
		(void)json_set_text(object, "error", s->text);
}
