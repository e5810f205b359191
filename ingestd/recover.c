/* SPDX-License-Identifier: Apache-2.0 */
#include "ingestd/recover.h"

/* System */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

/* Base */
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/log.h"

/* Store */
#include "common/store/ages.h"

/* ingestd */
#include "ingestd/collect.h"

static bool is_ingest_id(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!isdigit((unsigned char)name[i]) && (name[i] < 'a' || name[i] > 'f'))
			return false;
	return len == INGEST_ID_SIZE - 1;
}

static bool holds_bytes(int dir_fd, const char *name)
{
	struct stat st;

	return fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size > 0;
}

/* A directory without a readable record is useful only if a durable or live slot vouches for bytes. */
static void recover_orphan(const struct ingest_home *home, const char *id, const struct reason *why)
{
	int ingest_fd = layout_ingest_fd(home->layout);
	AUTO_FD dir_fd = -1, lock_fd = -1;

	int r = dir_open_at(ingest_fd, id, false, &dir_fd);
	if (r == 0)
		r = lock_take_at(dir_fd, INGEST_LOCK, LOCK_EXCLUSIVE, home->program, &lock_fd, NULL);
	if (r == -EWOULDBLOCK)
		return;
	if (r == 0 && holds_bytes(dir_fd, INGEST_DATA) && holds_bytes(dir_fd, INGEST_CHECKPOINT)) {
		log_warning("ingest '%s/" LAYOUT_INGEST "/%s' has no usable record (%s): its bytes are kept until the "
			    "same content is requested",
			    layout_path(home->layout), id, why->text);
		return;
	}
	if (r == 0)
		r = dir_remove_at(ingest_fd, id);
	if (r < 0)
		log_errno(r, "cannot remove the empty ingest '%s/" LAYOUT_INGEST "/%s'", layout_path(home->layout), id);
}

static void recover_record(struct flow *f, const struct ages *ages, const struct record *record, uint64_t offset)
{
	struct digest key;

	struct transfer *t = transfers_add(f->transfers, f, span_str(record->ref));

	if (!t)
		return;
	transfer_recover(t, record, offset);
	if (record->failed != FAIL_NONE) {
		transfer_fail(t, record->failed, record->why.text);
		transfer_enter(t, PHASE_FAILED);
	} else if (record->policy != RECORD_POLICY_NONE && !record->has_sealed) {
		transfer_enter(t, PHASE_IDLE);
		transfer_note(t, record->policy == RECORD_POLICY_CREDENTIALS
				     ? "needs credentials; run it again"
				     : "needs the options of its command; run it again");
	} else if (f->settings->no_resume && !record->has_sealed) {
		transfer_enter(t, PHASE_IDLE);
		transfer_note(t, TRANSFER_UNASKED);
	}
	collect_key(span_str(t->ref), offset, record->orders, &key);
	if (ages && transfer_rests(t))
		transfer_rested(t, ages_of(ages, &key));
	transfer_check(t);
}

static void recover_one(struct flow *f, const struct ages *ages, const char *id)
{
	AUTO_FD dir_fd = -1;
	struct reason why;
	struct stat st;
	struct record record;

	int r = dir_open_at(layout_ingest_fd(f->home->layout), id, false, &dir_fd);
	reason_set(&why, "%s", strerror(-r));
	if (r == 0)
		r = record_load(dir_fd, id, &record, NULL, &why);
	if (r < 0) {
		recover_orphan(f->home, id, &why);
		return;
	}
	bool has_data = fstatat(dir_fd, INGEST_DATA, &st, AT_SYMLINK_NOFOLLOW) == 0;
	recover_record(f, ages, &record, has_data ? (uint64_t)st.st_size : 0);
}

void recover_all(struct flow *f)
{
	int fd = openat(layout_ingest_fd(f->home->layout), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	struct ages *ages = NULL;

	int r = ages_load(layout_ingest_fd(f->home->layout), LAYOUT_AGES, f->home->boot_id, &ages);
	if (r < 0)
		log_errno(r, "cannot read '%s/" LAYOUT_INGEST "/" LAYOUT_AGES "'; what rests is new",
			  layout_path(f->home->layout));
	while (dir && (entry = readdir(dir))) {
		if (is_ingest_id(entry->d_name))
			recover_one(f, ages, entry->d_name);
		else if (entry->d_name[0] != '.' && strcmp(entry->d_name, INGEST_LOCK) != 0 &&
			 strcmp(entry->d_name, LAYOUT_AGES) != 0)
			log_warning("'%s/" LAYOUT_INGEST "/%s' is not an ingest; left alone",
				    layout_path(f->home->layout), entry->d_name);
	}
	ages_free(ages);
}
