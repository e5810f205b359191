/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/leases.h"

/* System */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

/* Base */
#include "common/base/array.h"
#include "common/base/clock.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/lock.h"
#include "common/base/log.h"

#define LEASE_MODE       0644
#define BY_HAND_ID       "hand-"
#define BY_HAND_PAUSE_MS 20
#define BY_HAND_TELL_MS  1000
#define COMMITTED_MAX    16 /* for refs, of one lease */

struct entry {
	TAILQ_ENTRY(entry) link; /* by when it was last renewed, the oldest first */
	char id[LEASE_ID_MAX + 1];
	struct lease lease;
	uint64_t *holders; /* owned: clients of ctl */
	size_t holders_len, holders_room;
	bool is_found;      /* nobody has called since this commitd started */
	uint64_t renewed_s; /* boot time */
	size_t file_len;    /* of it, what counts */
	char ref[REF_MAX + 1];
	struct digest committed[COMMITTED_MAX]; /* for the ref */
	size_t committed_len;
};

TAILQ_HEAD(entry_list, entry);

struct leases {
	struct layout *layout;
	struct pins *pins;
	uint8_t boot[BOOT_ID_SIZE];
	uint64_t started_s;
	struct entry_list list;
	size_t len;
};

static struct entry *find(const struct leases *ls, const char *id)
{
	struct entry *e;

	TAILQ_FOREACH(e, &ls->list, link) {
		if (strcmp(e->id, id) == 0)
			return e;
	}
	return NULL;
}

static void forget(struct leases *ls, struct entry *e)
{
	TAILQ_REMOVE(&ls->list, e, link);
	ls->len--;
	free(e->holders);
	free(e);
}

/* Without a sync: after a power cut it may be there again, and then ends once more. */
static int end(struct leases *ls, struct entry *e)
{
	char name[LEASE_NAME_SIZE];

	lease_file_name(e->id, name);
	if (FAILPOINT(NAME, "lease.end", fs_unlinkat(layout_leases_fd(ls->layout), name, 0)) < 0 && errno != ENOENT)
		return -errno;
	forget(ls, e);
	return 0;
}

static struct entry *entry_new(struct leases *ls, const char *id)
{
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	(void)snprintf(e->id, sizeof(e->id), "%s", id);
	e->renewed_s = clock_boot_s();
	TAILQ_INSERT_TAIL(&ls->list, e, link);
	ls->len++;
	return e;
}

/* ── what is on disk ── */

static int pin_member(void *self, const struct digest *d, bool is_root)
{
	struct leases *ls = self;

	if (is_root)
		pins_add_root(ls->pins, ls->layout, d);
	else
		pins_add(ls->pins, d);
	return 0;
}

/* Take note of a lease that we do not know. What is no lease keeps nothing, and is left alone. */
static int discover(struct leases *ls, const char *id)
{
	const struct lease_hooks hooks = {.member = pin_member, .self = ls};
	struct lease lease;
	size_t whole_len;

	if (find(ls, id))
		return 0;
	int r = lease_load(layout_leases_fd(ls->layout), id, &lease, &hooks, &whole_len);
	if (r == -EINVAL || r == -EFBIG || r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	struct entry *e = entry_new(ls, id);
	if (!e)
		return -ENOMEM;
	e->lease = lease;
	e->file_len = whole_len;
	e->is_found = true;
	/* One that was written while this commitd ran began then; older ones begin anew. */
	if (memcmp(lease.boot, ls->boot, sizeof(ls->boot)) == 0 && lease.at_s > ls->started_s &&
	    lease.at_s < e->renewed_s)
		e->renewed_s = lease.at_s;
	return 0;
}

/* With the lock nobody writes here but us: what was being written when its writer was killed is nobody's. */
static void remove_torn(const struct leases *ls, const char *name)
{
	if (name[0] == '.' && name_ends_with(name, ".new"))
		(void)name_remove_at(layout_leases_fd(ls->layout), name);
}

static int discover_all(struct leases *ls, bool is_locked)
{
	int fd = openat(layout_leases_fd(ls->layout), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	AUTO_DIR dir = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	char id[LEASE_ID_MAX + 1];

	if (!dir) {
		r = -errno;
		(void)close_fd(fd);
		return r;
	}
	while ((errno = 0, r == 0) && (e = readdir(dir))) {
		if (lease_id_of_file(e->d_name, id))
			r = discover(ls, id);
		else if (is_locked)
			remove_torn(ls, e->d_name);
	}
	return r < 0 ? r : -errno;
}

int leases_open(struct layout *l, struct pins *pins, struct leases **ret_leases, struct reason *why)
{
	struct leases *ls = calloc(1, sizeof(*ls));

	if (!ls) {
		reason_set(why, "out of memory");
		return -ENOMEM;
	}
	ls->layout = l;
	ls->pins = pins;
	ls->started_s = clock_boot_s();
	(void)boot_id_read(NULL, ls->boot); /* unknown is a boot of its own */
	TAILQ_INIT(&ls->list);
	AUTO_FD lock_fd = -1;
	int r = leases_lock(ls, &lock_fd, why);
	if (r == -EWOULDBLOCK) /* a 'commitd commit' is at it, and the next gc looks again */
		r = discover_all(ls, false);
	if (r < 0) {
		reason_set(why, "cannot read '%s/" LAYOUT_LEASES "': %s", layout_path(l), strerror(-r));
		leases_close(ls);
		return r;
	}
	*ret_leases = ls;
	return 0;
}

void leases_close(struct leases *ls)
{
	struct entry *e;

	if (!ls)
		return;
	while ((e = TAILQ_FIRST(&ls->list)))
		forget(ls, e);
	free(ls);
}

size_t leases_len(const struct leases *ls)
{
	return ls->len;
}

/* ── taking ── */

static enum fail_class fail_errno(const struct leases *ls, int r, struct reason *why)
{
	reason_set(why, "cannot write in '%s/" LAYOUT_LEASES "': %s", layout_path(ls->layout), strerror(-r));
	return file_is_full(r) ? FAIL_SPACE : FAIL_IO;
}

/* Pin the members, and append their lines. -EINVAL with a reason: a word is none. */
static int members_take(struct leases *ls, struct span members, struct buf *out, struct reason *why)
{
	struct digest d;
	bool is_root;
	int r = 0;

	while (r == 0 && members.len > 0) {
		const uint8_t *blank = memchr(members.data, ' ', members.len);
		size_t len = blank ? (size_t)(blank - members.data) : members.len;
		r = lease_parse_member(span_of(members.data, len), &d, &is_root);
		if (r < 0)
			reason_set(why, "'%.*s' is nothing that a lease keeps", (int)(len < 200 ? len : 200),
				   (const char *)members.data);
		else if ((r = lease_format_member(&d, is_root, out)) < 0)
			reason_set(why, "out of memory");
		else
			(void)pin_member(ls, &d, is_root);
		len += blank != NULL;
		members = span_of(members.data + len, members.len - len);
	}
	return r;
}

/* Append lines to a lease's file, and take them away again if that fails. */
static int append(const struct leases *ls, struct entry *e, const struct buf *lines)
{
	AUTO_FD fd = -1;
	char name[LEASE_NAME_SIZE];

	lease_file_name(e->id, name);
	int r = file_open_at(layout_leases_fd(ls->layout), name, O_WRONLY, 0, &fd, NULL);
	if (r == 0 && fs_ftruncate(fd, (off_t)e->file_len) < 0) /* a torn line of an earlier run */
		r = -errno;
	if (r == 0)
		r = FAILPOINT(WRITE, "lease.append", file_pwrite_all(fd, lines->data, lines->len, e->file_len));
	if (r == 0)
		r = FAILPOINT(SYNC, "lease.sync", durable_sync(fd));
	if (r == 0)
		e->file_len += lines->len;
	else if (fd >= 0 && fs_ftruncate(fd, (off_t)e->file_len) < 0)
		log_debug("lease '%s' keeps lines that were not acknowledged", e->id);
	return r;
}

static int write_new(const struct leases *ls, struct entry *e, const struct buf *lines)
{
	AUTO_BUF text = BUF_INIT;
	char name[LEASE_NAME_SIZE];
	int r = lease_format(&e->lease, &text);

	if (r == 0 && lines->len > 0)
		r = buf_append(&text, lines->data, lines->len);
	lease_file_name(e->id, name);
	if (r == 0)
		r = durable_replace_at(layout_leases_fd(ls->layout), name, text.data, text.len, LEASE_MODE);
	if (r == 0)
		e->file_len = text.len;
	return r;
}

/* A user has its share. Beyond it, the lease ends that was left first; what is held does not. */
static bool make_room(struct leases *ls, uid_t uid)
{
	struct entry *e, *victim = NULL;
	size_t count = 0;

	TAILQ_FOREACH(e, &ls->list, link) {
		if (e->lease.uid != uid || e->lease.is_firm)
			continue;
		count++;
		if (!victim && e->holders_len == 0)
			victim = e;
	}
	if (count < LEASES_OF_UID && ls->len < LEASES_MAX)
		return true;
	return victim && end(ls, victim) == 0;
}

static enum fail_class create(struct leases *ls, const struct lease_order *order, const struct buf *lines,
			      struct entry **ret_entry, struct reason *why)
{
	if (order->purpose[0] == '\0') {
		reason_set(why, "lease '%s' has ended", order->id);
		return FAIL_NOT_FOUND;
	}
	if (!make_room(ls, order->uid)) {
		reason_set(why, "too many leases are held: at most %d for a user", LEASES_OF_UID);
		return FAIL_AGAIN;
	}
	struct entry *e = entry_new(ls, order->id);
	if (!e) {
		reason_set(why, "out of memory");
		return FAIL_AGAIN;
	}
	(void)snprintf(e->lease.purpose, sizeof(e->lease.purpose), "%s", order->purpose);
	memcpy(e->lease.boot, ls->boot, sizeof(e->lease.boot));
	e->lease.at_s = e->renewed_s;
	e->lease.ttl_s = order->ttl_s;
	e->lease.is_firm = order->ttl_s == 0;
	e->lease.uid = order->uid;
	int r = write_new(ls, e, lines);
	if (r < 0) {
		forget(ls, e);
		return fail_errno(ls, r, why);
	}
	*ret_entry = e;
	return FAIL_NONE;
}

struct member {
	struct digest digest;
	bool is_root;
};

struct members {
	struct member *list; /* owned */
	size_t len, room;
};

static int members_add(void *self, const struct digest *d, bool is_root)
{
	struct members *ms = self;
	struct member *list = array_room(ms->list, ms->len, &ms->room, sizeof(*list));

	if (!list)
		return -ENOMEM;
	ms->list = list;
	ms->list[ms->len++] = (struct member){.digest = *d, .is_root = is_root};
	return 0;
}

static int member_compare(const void *a, const void *b)
{
	const struct member *x = a, *y = b;
	int order = digest_compare(&x->digest, &y->digest);

	return order != 0 ? order : x->is_root - y->is_root;
}

/*
 * Whoever takes up a lease that was left asks for what it holds once more: write it with each member once, so that it
 * does not grow with each try. If that fails, it stays as long as it is.
 */
static void compact(struct leases *ls, struct entry *e)
{
	AUTO_BUF lines = BUF_INIT;
	struct members ms = {.list = NULL};
	const struct lease_hooks hooks = {.member = members_add, .self = &ms};
	struct lease lease;

	int r = lease_load(layout_leases_fd(ls->layout), e->id, &lease, &hooks, NULL);
	if (r == 0 && ms.len > 1)
		qsort(ms.list, ms.len, sizeof(*ms.list), member_compare);
	size_t kept = 0;
	for (size_t i = 0; r == 0 && i < ms.len; i++) {
		if (i > 0 && member_compare(&ms.list[i - 1], &ms.list[i]) == 0)
			continue;
		r = lease_format_member(&ms.list[i].digest, ms.list[i].is_root, &lines);
		kept++;
	}
	if (r == 0 && kept < ms.len)
		(void)write_new(ls, e, &lines);
	free(ms.list);
}

static enum fail_class extend(struct leases *ls, struct entry *e, const struct lease_order *order,
			      const struct buf *lines, struct reason *why)
{
	if (e->lease.uid != order->uid && order->uid != 0) {
		reason_set(why, "lease '%s' is another user's", order->id);
		return FAIL_DENIED;
	}
	if (lines->len == 0)
		return FAIL_NONE;
	if (e->holders_len == 0)
		compact(ls, e);
	if (e->file_len + lines->len > LEASE_FILE_MAX) {
		reason_set(why, "lease '%s' would be longer than %u bytes", order->id, LEASE_FILE_MAX);
		return FAIL_AGAIN;
	}
	int r = append(ls, e, lines);
	return r < 0 ? fail_errno(ls, r, why) : FAIL_NONE;
}

static int hold(struct entry *e, uint64_t client)
{
	for (size_t i = 0; i < e->holders_len; i++)
		if (e->holders[i] == client)
			return 0;
	uint64_t *holders = array_room(e->holders, e->holders_len, &e->holders_room, sizeof(*holders));
	if (!holders)
		return -ENOMEM;
	e->holders = holders;
	e->holders[e->holders_len++] = client;
	return 0;
}

static void let_go(struct entry *e, uint64_t client)
{
	for (size_t i = 0; i < e->holders_len; i++)
		if (e->holders[i] == client)
			e->holders[i] = e->holders[--e->holders_len];
}

static void renew(struct leases *ls, struct entry *e)
{
	e->renewed_s = clock_boot_s();
	e->is_found = false;
	TAILQ_REMOVE(&ls->list, e, link);
	TAILQ_INSERT_TAIL(&ls->list, e, link);
}

enum fail_class leases_take(struct leases *ls, const struct lease_order *order, struct reason *why)
{
	AUTO_BUF lines = BUF_INIT;
	struct entry *e = find(ls, order->id);

	if (members_take(ls, order->members, &lines, why) < 0)
		return FAIL_USAGE;
	enum fail_class f = e ? extend(ls, e, order, &lines, why) : create(ls, order, &lines, &e, why);
	if (f != FAIL_NONE)
		return f;
	if (hold(e, order->client) < 0) {
		reason_set(why, "out of memory");
		return FAIL_AGAIN;
	}
	renew(ls, e);
	if (order->ref.len > 0 && order->ref.len < sizeof(e->ref))
		(void)snprintf(e->ref, sizeof(e->ref), "%.*s", SPAN_ARG(order->ref));
	return FAIL_NONE;
}

enum fail_class leases_release(struct leases *ls, const char *id, uint64_t client, uid_t uid, struct reason *why)
{
	struct entry *e = find(ls, id);

	if (!e)
		return FAIL_NONE;
	if (e->lease.uid != uid && uid != 0) {
		reason_set(why, "lease '%s' is another user's", id);
		return FAIL_DENIED;
	}
	let_go(e, client);
	if (e->holders_len > 0)
		return FAIL_NONE;
	int r = end(ls, e);
	return r < 0 ? fail_errno(ls, r, why) : FAIL_NONE;
}

void leases_left(struct leases *ls, uint64_t client)
{
	struct entry *e;

	TAILQ_FOREACH(e, &ls->list, link) {
		size_t before = e->holders_len;
		let_go(e, client);
		if (e->holders_len < before)
			e->renewed_s = clock_boot_s();
	}
}

void leases_committed(struct leases *ls, struct span ref, const struct digest *d)
{
	struct entry *e;

	TAILQ_FOREACH(e, &ls->list, link) {
		if (!span_eq(span_str(e->ref), ref))
			continue;
		/* The oldest goes: a ref that is committed again and again has something new each time. */
		if (e->committed_len == COMMITTED_MAX)
			memmove(e->committed, e->committed + 1, --e->committed_len * sizeof(*d));
		e->committed[e->committed_len++] = *d;
	}
}

void leases_pin_committed(const struct leases *ls)
{
	const struct entry *e;

	TAILQ_FOREACH(e, &ls->list, link) {
		for (size_t i = 0; i < e->committed_len; i++)
			pins_add(ls->pins, &e->committed[i]);
	}
}

/* ── beside others ── */

int leases_lock(struct leases *ls, int *ret_fd, struct reason *why)
{
	AUTO_FD fd = -1;
	struct reason holder = {""};
	int r = lock_take_at(layout_leases_fd(ls->layout), LEASE_LOCK, LOCK_EXCLUSIVE, "commitd", &fd, &holder);

	if (r == -EWOULDBLOCK) {
		reason_set(why, "'%s/" LAYOUT_LEASES "/" LEASE_LOCK "' is held by %s", layout_path(ls->layout),
			   holder.text);
		return r;
	}
	if (r == 0)
		r = discover_all(ls, true);
	if (r < 0)
		reason_set(why, "cannot read '%s/" LAYOUT_LEASES "': %s", layout_path(ls->layout), strerror(-r));
	else
		*ret_fd = take_fd(&fd);
	return r;
}

static bool is_over(const struct leases *ls, const struct entry *e, uint64_t idle_s, uint64_t now_s)
{
	uint64_t age_s = now_s > e->renewed_s ? now_s - e->renewed_s : 0;

	if (e->holders_len > 0)
		return false;
	if (e->lease.ttl_s > 0 && age_s >= e->lease.ttl_s)
		return true;
	return !e->lease.is_firm && age_s >= idle_s && (!e->is_found || now_s - ls->started_s >= LEASES_FOUND_S);
}

void leases_prune(struct leases *ls, uint64_t idle_s)
{
	struct entry *e = TAILQ_FIRST(&ls->list), *next;
	uint64_t now_s = clock_boot_s();

	for (; e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (is_over(ls, e, idle_s, now_s) && end(ls, e) < 0)
			log_warning("cannot end the lease of '%s'", e->lease.purpose);
	}
}

int leases_each(const struct leases *ls, uint64_t idle_s, int (*visit)(void *self, const struct lease_view *v),
		void *self)
{
	const struct entry *e;
	uint64_t now_s = clock_boot_s();
	int r = 0;

	TAILQ_FOREACH(e, &ls->list, link) {
		struct lease_view v = {.id = e->id, .purpose = e->lease.purpose};
		if (r != 0 || is_over(ls, e, idle_s, now_s))
			continue;
		if (e->holders_len == 0 && now_s > e->renewed_s)
			v.idle_s = now_s - e->renewed_s;
		r = visit(self, &v);
	}
	return r;
}

static int lock_by_hand(const struct layout *l, int *ret_fd)
{
	uint64_t tell_ms = clock_mono_ms() + BY_HAND_TELL_MS;
	struct reason holder;
	int r;

	while ((r = lock_take_at(layout_leases_fd(l), LEASE_LOCK, LOCK_EXCLUSIVE, "commitd commit", ret_fd, &holder)) ==
	       -EWOULDBLOCK) {
		if (clock_mono_ms() >= tell_ms) {
			log_notice("waiting for %s, which removes unneeded content", holder.text);
			tell_ms = UINT64_MAX;
		}
		clock_pause(BY_HAND_PAUSE_MS);
	}
	return r;
}

int leases_take_by_hand(const struct layout *l, const struct digest *d)
{
	AUTO_BUF text = BUF_INIT;
	AUTO_FD fd = -1;
	char name[LEASE_NAME_SIZE], id[LEASE_ID_MAX + 1], hex[DIGEST_TEXT_SIZE];
	struct lease lease = {.purpose = "commitd commit", .ttl_s = LEASE_BY_HAND_S, .is_firm = true, .uid = geteuid()};
	int r = lock_by_hand(l, &fd);

	if (r < 0)
		return r;
	digest_format_hex(d, hex);
	(void)snprintf(id, sizeof(id), BY_HAND_ID "%s", hex);
	lease_file_name(id, name);
	(void)boot_id_read(NULL, lease.boot);
	lease.at_s = clock_boot_s();
	r = lease_format(&lease, &text);
	if (r == 0)
		r = lease_format_member(d, true, &text);
	return r < 0 ? r : durable_replace_at(layout_leases_fd(l), name, text.data, text.len, LEASE_MODE);
}
