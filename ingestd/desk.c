#include "ingestd/desk.h"

/* System */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/daemon.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/log.h"

/* ingestd */
#include "ingestd/flow.h"

#define TICK_S 0.5

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

/* A directory without a readable record: of use only for bytes that a durable or live slot vouches for. */
static void recover_orphan(struct desk *desk, const char *id, const struct reason *why)
{
	int ingest_fd = layout_ingest_fd(desk->home.layout);
	AUTO_FD dir_fd = -1, lock_fd = -1;

	int r = dir_open_at(ingest_fd, id, false, &dir_fd);
	if (r == 0)
		r = lock_take_at(dir_fd, INGEST_LOCK, LOCK_EXCLUSIVE, desk->home.program, &lock_fd, NULL);
	if (r == -EWOULDBLOCK)
		return;
	if (r == 0 && holds_bytes(dir_fd, INGEST_DATA) && holds_bytes(dir_fd, INGEST_CHECKPOINT)) {
		log_warning("ingest '%s/" LAYOUT_INGEST "/%s' has no usable record (%s): its bytes wait until their "
			    "content is asked for again",
			    layout_path(desk->home.layout), id, why->text);
		return;
	}
	if (r == 0)
		r = dir_remove_at(ingest_fd, id);
	if (r < 0)
		log_errno(r, "cannot remove the empty ingest '%s/" LAYOUT_INGEST "/%s'", layout_path(desk->home.layout),
			  id);
}

static void recover_record(struct desk *desk, const struct record *record, uint64_t offset)
{
	struct task *t = tasks_add(&desk->tasks, desk, span_str(record->ref));

	if (!t)
		return;
	t->offset = offset;
	t->size = record->size;
	t->started_s = t->updated_s = record->started_s;
	t->orders = record->orders;
	t->fail_class = record->failed;
	if (record->failed != FAIL_NONE) {
		t->state = TRANSFER_FAILED;
		task_note(t, record->why.text);
	} else if (desk->settings->no_resume && !record->has_sealed) {
		t->state = TRANSFER_WAITING;
		task_note(t, TRANSFER_UNASKED);
	}
}

static void recover_one(struct desk *desk, const char *id)
{
	AUTO_FD dir_fd = -1;
	struct reason why;
	struct stat st;
	struct record record;

	int r = dir_open_at(layout_ingest_fd(desk->home.layout), id, false, &dir_fd);
	reason_set(&why, "%s", strerror(-r));
	if (r == 0)
		r = record_load(dir_fd, id, &record, NULL, &why);
	if (r < 0) {
		recover_orphan(desk, id, &why);
		return;
	}
	bool has_data = fstatat(dir_fd, INGEST_DATA, &st, AT_SYMLINK_NOFOLLOW) == 0;
	recover_record(desk, &record, has_data ? (uint64_t)st.st_size : 0);
}

void desk_recover(struct desk *desk)
{
	int fd = openat(layout_ingest_fd(desk->home.layout), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		if (is_ingest_id(entry->d_name))
			recover_one(desk, entry->d_name);
		else if (entry->d_name[0] != '.')
			log_warning("'%s/" LAYOUT_INGEST "/%s' is nothing of ours and is left alone",
				    layout_path(desk->home.layout), entry->d_name);
	}
}

void desk_schedule(struct desk *desk)
{
	struct task *t;

	while (!desk->stopping && desk->active < (int)desk->settings->max_active &&
	       (t = tasks_oldest(&desk->tasks, TRANSFER_QUEUED)) && !t->syncing)
		flow_start(desk, t);
}

static void on_tick(struct ev_loop *loop, ev_timer *w, int events)
{
	struct desk *desk = w->data;
	uint64_t now_ms = clock_mono_ms();

	(void)loop;
	(void)events;
	if (desk->stopping)
		return;
	for (size_t i = 0; i < desk->tasks.len; i++) {
		struct task *t = desk->tasks.by_ref[i];
		if (t->in || t->lock_wait || t->space_wait)
			flow_tick(desk, t, now_ms);
	}
	desk_schedule(desk);
}

void desk_open(struct desk *desk)
{
	ev_timer_init(&desk->tick, on_tick, TICK_S, TICK_S);
	desk->tick.data = desk;
	ev_timer_start(desk->loop, &desk->tick);
	desk_schedule(desk);
}

/* Keep few ingests open: one that must wait for its turn is opened again then. */
static void queue_up(struct desk *desk, struct task *t)
{
	t->turn = ++desk->tasks.turn;
	t->fail_class = FAIL_NONE;
	task_note(t, NULL);
	flow_set_state(desk, t, TRANSFER_QUEUED);
	desk_schedule(desk);
	if (t->state == TRANSFER_QUEUED && t->in && !t->syncing)
		flow_close(desk, t);
}

static int check_get(const struct message *get, struct digest *ret_expected, enum fail_class *ret_class,
		     struct reason *why)
{
	struct source source;
	struct digest of_ref;

	*ret_class = FAIL_USAGE;
	if (ref_check(get->ref, why) < 0 || source_parse(get->source, &source, why) < 0)
		return -EINVAL;
	if (get->expected.len > 0 && digest_parse(get->expected, ret_expected, why) < 0)
		return -EINVAL;
	if (digest_parse(get->ref, &of_ref, NULL) == 0 &&
	    (get->expected.len == 0 || !digest_eq(&of_ref, ret_expected))) {
		reason_set(why, "the ref '%.*s' and the expected digest disagree", SPAN_ARG(get->ref));
		return -EINVAL;
	}
	return 0;
}

bool desk_is_stored(const struct desk *desk, const struct digest *d, uint64_t *ret_size)
{
	for (size_t i = 0; i < desk->tasks.len; i++) {
		const struct task *t = desk->tasks.by_ref[i];
		if (t->state == TRANSFER_SEALED && t->has_digest && digest_eq(&t->digest, d))
			return false;
	}
	return layout_blob_size(desk->home.layout, d, ret_size) == 0;
}

static bool is_under_way(const struct task *t)
{
	return t->state == TRANSFER_QUEUED || t->state == TRANSFER_FETCHING || t->state == TRANSFER_SEALED ||
	       (t->state == TRANSFER_WAITING && (t->space_wait || t->lock_wait));
}

/* What came by hand may have to be fetched after all, should it turn out to be wrong. */
static void adopt_source(struct task *t, struct span source)
{
	if (t->in && t->in->record.source[0] == '\0')
		(void)snprintf(t->in->record.source, sizeof(t->in->record.source), "%.*s", SPAN_ARG(source));
}

static enum fail_class class_of(int r)
{
	return r == -EWOULDBLOCK ? FAIL_AGAIN : FAIL_IO;
}

int desk_get(struct desk *desk, const struct message *get, struct task **ret_task, uint64_t *ret_size,
	     enum fail_class *ret_class, struct reason *why)
{
	struct digest expected;

	*ret_task = NULL;
	int r = check_get(get, &expected, ret_class, why);
	if (r < 0)
		return r;
	/* First, because a name that its commit has not synced yet is no reason to say that the content is stored. */
	struct task *t = tasks_find(&desk->tasks, get->ref);
	if (t && is_under_way(t)) {
		adopt_source(t, get->source);
		*ret_task = t;
		return 0;
	}
	if (get->expected.len > 0 && layout_blob_size(desk->home.layout, &expected, ret_size) == 0) {
		if (!t || t->state != TRANSFER_COMMITTED) /* what rests of an earlier try is of no use any more */
			(void)desk_abort(desk, get->ref, why);
		return 0;
	}
	bool is_new = !t;
	if (is_new)
		t = tasks_add(&desk->tasks, desk, get->ref);
	if (!t)
		return -ENOMEM;
	r = task_ask(t, get->source, get->expected.len > 0 ? &expected : NULL, get->size);
	/* Make the ingest and its record now, so that an accepted transfer survives us. */
	if (r == 0)
		r = flow_open(desk, t, why);
	if (r == 0)
		queue_up(desk, t);
	else if (file_is_full(r)) /* also for that little there will be space again */
		flow_wait_for_space(desk, t, why->text);
	else {
		*ret_class = class_of(r);
		if (is_new)
			tasks_remove(&desk->tasks, t);
		return r;
	}
	*ret_task = t;
	return 0;
}

int desk_abort(struct desk *desk, struct span ref, struct reason *why)
{
	struct task *t = tasks_find(&desk->tasks, ref);

	if (!t)
		return ingest_discard(&desk->home, ref, why);
	if (t->in) {
		flow_call_off(desk, t);
		flow_when_idle(desk, t, flow_remove);
		return 0;
	}
	int r = t->state == TRANSFER_COMMITTED ? 0 : ingest_discard(&desk->home, ref, why);
	if (r < 0 && r != -ENOENT)
		return r;
	flow_remove(desk, t);
	return 0;
}

int desk_reset(struct desk *desk, struct span ref, struct reason *why)
{
	struct task *t = tasks_find(&desk->tasks, ref);

	reason_set(why, "there is no such transfer");
	if (!t || t->state == TRANSFER_COMMITTED)
		return -ENOENT;
	reason_set(why, "it is complete and being committed");
	if (t->state == TRANSFER_SEALED)
		return -EBUSY;
	int r = t->in ? 0 : ingest_open(&desk->home, ref, INGEST_EXISTING, &t->in, why);
	if (r < 0)
		return r;
	flow_call_off(desk, t);
	flow_when_idle(desk, t, flow_reset);
	return 0;
}

static bool any_open(const struct desk *desk)
{
	for (size_t i = 0; i < desk->tasks.len; i++)
		if (desk->tasks.by_ref[i]->in)
			return true;
	return false;
}

void desk_closed(struct desk *desk)
{
	if (desk->stopping && !any_open(desk))
		daemon_end(desk->our_loop);
}

void desk_stop(struct desk *desk)
{
	desk->stopping = true;
	for (size_t i = 0; i < desk->tasks.len; i++) {
		struct task *t = desk->tasks.by_ref[i];
		if (!t->in)
			continue;
		flow_call_off(desk, t);
		flow_when_idle(desk, t, flow_suspend);
	}
	desk_closed(desk);
}

void desk_release(struct desk *desk)
{
	workers_free(desk->workers);
	desk->workers = NULL;
	tasks_release(&desk->tasks);
}
