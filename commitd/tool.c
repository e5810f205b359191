/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/tool.h"

/* System */
#include <errno.h>
#include <sysexits.h>

/* Base */
#include "common/base/clock.h"
#include "common/base/exit.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/lock.h"
#include "common/base/log.h"

/* Store */
#include "common/store/storelock.h"

/* Wire */
#include "common/wire/frame.h"

/* Own */
#include "commitd/commit.h"
#include "commitd/leases.h"

#define LOCK_PATIENCE_MS 2000 /* the sealer prints its seal before it ends, so it may still hold the lock */
#define LOCK_AGAIN_MS    10

struct tool {
	struct layout *layout;
	bool verify_always;
	int out_fd;
	unsigned long long seals; /* that arrived */
	int code;                 /* of the first failure, or 0 */
};

static void reader_cleanup(struct frame_reader **r)
{
	frame_reader_free(*r);
}

static void fail(struct tool *t, int code)
{
	if (t->code == EX_OK)
		t->code = code;
}

static int lock_patiently(int dir_fd, int *ret_fd, struct reason *ret_holder)
{
	uint64_t until_ms = clock_mono_ms() + LOCK_PATIENCE_MS;
	for (;;) {
		int r = lock_take_at(dir_fd, INGEST_LOCK, LOCK_EXCLUSIVE, "commitd commit", ret_fd, ret_holder);
		if (r != -EWOULDBLOCK || clock_mono_ms() >= until_ms)
			return r;
		clock_pause(LOCK_AGAIN_MS);
	}
}

/*
 * The ingest is no longer needed. If a daemon has it, the daemon removes it. Whatever fails here, the blob is
 * committed, and the next run will find that.
 */
static void remove_ingest(const struct tool *t, const char *id)
{
	AUTO_FD ingest_fd = -1;
	AUTO_FD dir_fd = -1;
	AUTO_FD lock_fd = -1;
	struct reason holder;
	int r = dir_open_at(layout_root_fd(t->layout), LAYOUT_INGEST, false, &ingest_fd);
	if (r == 0)
		r = dir_open_at(ingest_fd, id, false, &dir_fd);
	if (r == -ENOENT)
		return;
	if (r == 0)
		r = lock_patiently(dir_fd, &lock_fd, &holder);
	if (r == -EWOULDBLOCK) {
		log_notice("left 'ingest/%s' to %s, which holds its lock", id, holder.text);
		return;
	}
	if (r == 0)
		r = dir_remove_at(ingest_fd, id);
	if (r < 0)
		(void)log_errno(r, "committed, but cannot remove 'ingest/%s'", id);
}

static int print_digest(const struct tool *t, const struct digest *d)
{
	char line[DIGEST_TEXT_SIZE + 1];
	digest_format(d, line);
	size_t len = strlen(line);
	line[len++] = '\n';
	return FAILPOINT(WRITE, "digest.write", file_write_all(t->out_fd, line, len, NULL));
}

static void commit_one(struct tool *t, const struct message *m, const struct digest *digest)
{
	struct commit c;
	struct commit *batch[] = {&c};
	commit_init(&c, m->ref, digest, m->size, m->provenance != 0 || t->verify_always);
	commit_bind(&c, m->ino, m->mtime_ns);
	/* Before it may be found to be stored. Without a lease it is committed all the same, and a gc may take it. */
	int r = leases_take_by_hand(t->layout, digest);
	if (r < 0)
		log_warning("no lease for '%.*s', so that a gc may remove it: %s", SPAN_ARG(m->ref), strerror(-r));
	commit_batch(t->layout, batch, 1);
	/* If the data disappeared meanwhile, start again, which finds the blob or nothing. */
	while (c.step == COMMIT_TO_READ) {
		if (c.is_claimed)
			log_notice("another commitd is working on '%.*s': waiting until it is done or dead",
				   SPAN_ARG(m->ref));
		commit_read_back(t->layout, &c, NULL);
		commit_batch(t->layout, batch, 1);
	}
	commit_release(&c);
	if (c.step == COMMIT_REJECTED) {
		log_error("cannot commit '%.*s': %s", SPAN_ARG(m->ref), c.why.text);
		fail(t, fail_exit_code(c.fail_class));
		return;
	}
	log_info("committed %llu bytes%s%s", (unsigned long long)c.size, c.was_read ? ", read back" : "",
		 c.found ? ", the blob had its name already" : "");
	r = print_digest(t, digest);
	if (r < 0) {
		(void)log_errno(r, "cannot write to standard output");
		fail(t, EX_IOERR);
	}
	remove_ingest(t, c.id);
}

static void take_message(struct tool *t, const struct message *m)
{
	struct digest digest;
	struct reason why;
	if (m->type != MSG_SEALED) {
		log_error("standard input has %s, which is not a seal", message_name(m->type));
		fail(t, EX_DATAERR);
	} else if (m->size == SIZE_UNKNOWN || digest_parse(m->digest, &digest, &why) < 0) {
		log_error("standard input has a malformed seal: %s", m->size == SIZE_UNKNOWN ? "no size" : why.text);
		fail(t, EX_DATAERR);
	} else {
		t->seals++;
		commit_one(t, m, &digest);
	}
}

static void commit_all(struct tool *t, struct frame_reader *reader)
{
	struct message m;
	enum decode_verdict v = DECODE_OK;
	int r;
	while ((r = frame_read(reader, &m, &v)) > 0)
		take_message(t, &m);
	if (r == -ENODATA) {
		log_error("standard input ended in the middle of a seal; run this again");
		fail(t, EX_TEMPFAIL);
	} else if (r == -EBADMSG) {
		log_error("standard input is not a stream of seals: %s", decode_verdict_text(v));
		fail(t, EX_DATAERR);
	} else if (r < 0) {
		(void)log_errno(r, "cannot read standard input");
		fail(t, EX_IOERR);
	} else if (t->seals == 0 && t->code == EX_OK) {
		log_error("no seal arrived on standard input; nothing was committed");
		fail(t, EX_TEMPFAIL);
	}
}

/*
 * It does not lock the store: any number of these may run beside each other and a daemon, because each step of a commit
 * is one rename that only one of them wins. But the ingest of a writer that still runs is safe only if locks work.
 */
static int open_store(struct tool *t, const char *path)
{
	struct reason why;
	int r = layout_open(path, LAYOUT_COMMITTER, &t->layout, &why);
	if (r == 0)
		r = storelock_check(t->layout, &why);
	if (r < 0)
		log_error("%s", why.text);
	return exit_code_of(r);
}

int tool_commit(const struct settings *settings, int in_fd, int out_fd)
{
	CLEANUP(reader_cleanup) struct frame_reader *reader = NULL;
	struct tool t = {.verify_always = settings->verify == VERIFY_ALWAYS, .out_fd = out_fd};
	if (isatty(in_fd)) {
		log_error("standard input is a terminal; give it the seals that 'ingestd put' prints");
		return EX_USAGE;
	}
	int r = frame_reader_new(in_fd, &reader);
	if (r < 0) {
		(void)log_errno(r, "cannot read standard input");
		return exit_code_of(r);
	}
	t.code = open_store(&t, settings->store);
	if (t.code == EX_OK)
		commit_all(&t, reader);
	layout_free(t.layout);
	return t.code;
}
