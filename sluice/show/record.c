/* Own header */
#include "sluice/show/record.h"

/* System */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Base */
#include "common/base/file.h"

int records_add(struct records *rs, const struct record *r)
{
	if (rs->len == rs->room) {
		size_t room = rs->room ? 2 * rs->room : 16;
		struct record *list = reallocarray(rs->list, room, sizeof(*list));
		if (!list)
			return -ENOMEM;
		rs->list = list;
		rs->room = room;
	}
	rs->list[rs->len++] = *r;
	return 0;
}

void records_release(struct records *rs)
{
	free(rs->list);
	*rs = (struct records){.list = NULL};
}

void record_of_message(const struct message *m, struct record *ret_record)
{
	struct record r = {
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

	(void)snprintf(r.ref, sizeof(r.ref), "%.*s", SPAN_ARG(m->ref));
	(void)snprintf(r.digest, sizeof(r.digest), "%.*s", SPAN_ARG(m->digest));
	(void)snprintf(r.media_type, sizeof(r.media_type), "%.*s", SPAN_ARG(m->media_type));
	(void)snprintf(r.text, sizeof(r.text), "%.*s", SPAN_ARG(m->text));
	*ret_record = r;
}

static void record_of_transfer(const struct transfer *t, struct record *ret_record)
{
	struct record r = {
	    .state = TRANSFER_WAITING,
	    .total = t->size,
	    .started_s = t->started_s,
	    .updated_s = t->started_s,
	    .attempts = t->orders,
	    .fail_class = t->failed,
	};

	(void)snprintf(r.ref, sizeof(r.ref), "%s", t->ref);
	(void)snprintf(r.media_type, sizeof(r.media_type), "%s", t->media_type);
	if (t->has_sealed)
		digest_format(&t->sealed, r.digest);
	if (t->failed != FAIL_NONE)
		r.state = TRANSFER_FAILED;
	else if (t->has_sealed)
		r.state = TRANSFER_SEALED;
	(void)snprintf(r.text, sizeof(r.text), "%s",
		       r.state == TRANSFER_FAILED    ? t->why.text
		       : r.state == TRANSFER_WAITING ? TRANSFER_UNASKED
						     : "");
	*ret_record = r;
}

static int read_ingest(struct layout *l, const char *id, struct record *ret_record, struct reason *why)
{
	AUTO_BUF text = BUF_INIT;
	AUTO_FD dir_fd = -1;
	struct transfer t;
	struct stat st;
	char of_ref[INGEST_ID_SIZE];

	if (layout_ingest_fd(l) < 0)
		return -ENOENT;
	int r = dir_open_at(layout_ingest_fd(l), id, false, &dir_fd);
	if (r < 0)
		return r;
	/* Lines may still be appended to a file that is about to be made compact. */
	r = file_load_at(dir_fd, INGEST_TRANSFER, 2 * TRANSFER_FILE_MAX, &text);
	if (r == 0)
		r = transfer_parse(buf_span(&text), &t, why);
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	layout_ingest_id(span_str(t.ref), of_ref);
	if (strcmp(of_ref, id) != 0) {
		reason_set(why, "the record in '%s/%s' is about another ref", LAYOUT_INGEST, id);
		return -EINVAL;
	}
	record_of_transfer(&t, ret_record);
	if (fstatat(dir_fd, INGEST_DATA, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)) {
		ret_record->offset = (uint64_t)st.st_size;
		ret_record->updated_s = (uint64_t)st.st_mtim.tv_sec;
	}
	return 0;
}

int record_of_store(struct layout *l, struct span ref, struct record *ret_record, struct reason *why)
{
	char id[INGEST_ID_SIZE];

	layout_ingest_id(ref, id);
	reason_set(why, "its record cannot be read");
	return read_ingest(l, id, ret_record, why);
}

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct record *)a)->ref, ((const struct record *)b)->ref);
}

int records_of_store(struct layout *l, struct records *ret_records)
{
	struct record record;
	int r = 0;

	if (layout_ingest_fd(l) < 0)
		return 0;
	int fd = openat(layout_ingest_fd(l), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -errno;
	for (const struct dirent *e = readdir(dir); r == 0 && e; e = readdir(dir)) {
		if (strlen(e->d_name) == INGEST_ID_SIZE - 1 && read_ingest(l, e->d_name, &record, NULL) == 0)
			r = records_add(ret_records, &record);
	}
	if (ret_records->len > 1)
		qsort(ret_records->list, ret_records->len, sizeof(record), compare);
	return r;
}
