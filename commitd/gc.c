/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/gc.h"

/* System */
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Base */
#include "common/base/array.h"
#include "common/base/clock.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"
#include "common/base/fs.h"

/* Store */
#include "common/store/ages.h"
#include "common/store/inventory.h"
#include "common/store/names.h"
#include "common/store/walk.h"

#define UNNEEDED_FILE "unneeded" /* in leases/: ages.h */
#define LOCK_AGAIN_MS 20

/* A lease that counts in this run. */
struct held {
	char id[LEASE_ID_MAX + 1], purpose[LEASE_PURPOSE_MAX + 1];
	uint64_t idle_s;
};

/* A blob that nobody needs. */
struct candidate {
	size_t at; /* in the inventory */
	uint64_t age_s;
};

enum phase { PHASE_NONE, PHASE_BEGIN, PHASE_WAIT, PHASE_MARK, PHASE_SWEEP, PHASE_CLOSE, PHASE_FINISH, PHASE_END };

struct gc {
	struct gc_env env;
	struct work work;
	enum phase phase, next; /* `next`: on which the present one has decided */
	enum phase waiting;     /* the one that needs the lock, in PHASE_WAIT */
	atomic_bool stop;
	bool is_halted;
	struct gc_order order;
	struct gc_report report;
	uint8_t boot[BOOT_ID_SIZE];
	uint64_t lock_until_ms;
	size_t pins_seen;

	struct inventory stored;
	struct ages *ages;
	struct held *held; /* owned */
	size_t held_len, held_room;
	struct candidate *candidates; /* owned; the oldest first */
	size_t candidates_len, candidates_room;
	size_t swept;            /* of them */
	int open[GC_SWEEP_STEP]; /* unlinked, with their space */
	size_t open_len;

	struct gc_item *items; /* owned */
	size_t items_len, items_room;
};

static void fail(struct gc *g, enum fail_class f, const char *text)
{
	if (g->report.outcome != FAIL_NONE)
		return;
	g->report.outcome = f;
	reason_set(&g->report.why, "%s", text);
}

static int no_memory(struct reason *why)
{
	reason_set(why, "out of memory");
	return -ENOMEM;
}

/* Count it, and list it if there is room. */
static void note(struct gc *g, const struct gc_item *item)
{
	g->report.count[item->fate]++;
	g->report.bytes[item->fate] += item->bytes;
	if (g->items_len >= GC_ITEMS_MAX)
		return;
	struct gc_item *items = array_room(g->items, g->items_len, &g->items_room, sizeof(*items));
	if (!items)
		return;
	g->items = items;
	g->items[g->items_len++] = *item;
}

static void note_candidate(struct gc *g, const struct candidate *c, enum gc_fate fate)
{
	const struct stored *blob = &g->stored.list[c->at];

	note(g, &(struct gc_item){.fate = fate, .digest = blob->digest, .bytes = blob->size, .age_s = c->age_s});
}

/* ── begin ── */

static int add_held(void *self, const struct lease_view *v)
{
	struct gc *g = self;
	struct held *held = array_room(g->held, g->held_len, &g->held_room, sizeof(*held));

	if (!held)
		return -ENOMEM;
	g->held = held;
	struct held *h = &g->held[g->held_len++];
	(void)snprintf(h->id, sizeof(h->id), "%s", v->id);
	(void)snprintf(h->purpose, sizeof(h->purpose), "%s", v->purpose);
	h->idle_s = v->idle_s;
	return 0;
}

/* The leases' lock. False: `next` is what follows. */
static bool lock(struct gc *g, int *ret_fd)
{
	struct reason why;
	int r = leases_lock(g->env.leases, ret_fd, &why);

	if (r == 0) {
		g->lock_until_ms = 0;
		return true;
	}
	if (g->lock_until_ms == 0)
		g->lock_until_ms = clock_mono_ms() + GC_LOCK_MS;
	g->waiting = g->phase;
	g->next = PHASE_WAIT;
	if (r == -EWOULDBLOCK && clock_mono_ms() < g->lock_until_ms && !atomic_load(&g->stop))
		return false;
	fail(g, r == -EWOULDBLOCK ? FAIL_AGAIN : FAIL_IO, why.text);
	g->next = g->phase == PHASE_BEGIN ? PHASE_END : PHASE_FINISH;
	return false;
}

static void begin(struct gc *g)
{
	AUTO_FD lock_fd = -1;
	uint64_t idle_s = g->order.ends_idle ? g->order.older_s : UINT64_MAX;

	if (!lock(g, &lock_fd))
		return;
	pins_begin(g->env.pins); /* not before: the leases that are found with the lock count as all others */
	if (!g->order.dry_run)
		leases_prune(g->env.leases, idle_s);
	leases_pin_committed(g->env.leases);
	g->next = PHASE_MARK;
	if (leases_each(g->env.leases, idle_s, add_held, g) < 0) {
		fail(g, FAIL_AGAIN, "out of memory");
		g->next = PHASE_END;
	}
}

/* ── mark ── */

struct marking {
	struct gc *gc;
	const char *name;   /* of the root, or NULL */
	bool is_lease;      /* what is missing has not arrived yet */
	uint64_t new_bytes; /* that nobody before needed */
};

static void mark(struct marking *m, const struct digest *d)
{
	struct stored *blob = inventory_find(&m->gc->stored, d);

	if (!blob || blob->is_marked)
		return;
	blob->is_marked = true;
	m->new_bytes += blob->size;
}

static int on_visit(void *self, const struct walk_node *node, struct reason *why)
{
	struct marking *m = self;

	mark(m, &node->descriptor->digest);
	if (!atomic_load_explicit(&m->gc->stop, memory_order_relaxed))
		return 0;
	reason_set(why, "commitd stops");
	return -ECANCELED;
}

/*
 * A manifest that is damaged or cannot be read may need anything. One that was never there needs nothing yet, unless it
 * has a name; and what has the right bytes, but is no manifest, needs nothing.
 */
static int on_fault(void *self, const struct walk_node *node, int error, struct reason *why)
{
	const struct marking *m = self;
	char hex[DIGEST_TEXT_SIZE];
	struct stat st;

	if (error == -EINVAL)
		return 0;
	if (error != -ENOENT)
		return error;
	(void)why;
	digest_format_hex(&node->descriptor->digest, hex);
	bool was_there = fstatat(layout_quarantine_fd(m->gc->env.layout), hex, &st, AT_SYMLINK_NOFOLLOW) == 0;
	return was_there || (node->depth == 0 && !m->is_lease) ? error : 0;
}

static int refuse(struct gc *g, int r, const struct marking *m, struct reason *why)
{
	struct reason text;

	if (r == -ECANCELED)
		reason_set(&text, "commitd stops");
	else if (r == -ENOMEM)
		reason_set(&text, "out of memory");
	else if (m && !m->is_lease)
		reason_set(
		    &text,
		    "nothing was removed, because it is not known what '%s' needs: %s; pull it again, or remove it "
		    "with 'sluice rm'",
		    m->name ? m->name : "an entry without a name", why->text);
	else
		reason_set(&text, "nothing was removed: %s", why->text);
	fail(g, FAIL_AGAIN, text.text);
	return r;
}

static int mark_names(struct gc *g, struct walk *w, struct marking *m)
{
	struct reason why = {""};
	struct descriptor d;
	struct names *n;
	int r = names_load(g->env.layout, &n, &why);

	if (r < 0)
		return refuse(g, r, NULL, &why);
	for (size_t i = 0; r == 0 && i < names_len(n); i++) {
		m->name = NULL;
		r = names_at(n, i, &m->name, &d);
		if (r < 0)
			reason_set(&why, "it is not a descriptor");
		else
			r = walk_from(w, &d, &why);
		if (r < 0)
			(void)refuse(g, r, m, &why);
	}
	names_free(n);
	return r;
}

struct lease_roots {
	struct marking *marking;
	struct walk *walk;
	struct reason why;
};

static int mark_member(void *self, const struct digest *d, bool is_root)
{
	struct lease_roots *roots = self;
	struct descriptor root = {.digest = *d, .size = SIZE_UNKNOWN};

	mark(roots->marking, d);
	return is_root ? walk_from(roots->walk, &root, &roots->why) : 0;
}

static int mark_lease(struct gc *g, struct walk *w, struct marking *m, const struct held *h)
{
	struct lease_roots roots = {.marking = m, .walk = w};
	const struct lease_hooks hooks = {.member = mark_member, .self = &roots};
	struct lease lease;

	m->name = h->purpose;
	m->new_bytes = 0;
	reason_set(&roots.why, "the lease of '%s' cannot be read", h->purpose);
	int r = lease_load(layout_leases_fd(g->env.layout), h->id, &lease, &hooks, NULL);
	if (r == -ENOENT) /* released since; if it was for a name, that pinned its content */
		return 0;
	if (r < 0)
		return refuse(g, r, m, &roots.why);
	if (m->new_bytes > 0) {
		struct gc_item item = {.fate = GC_LEASED, .bytes = m->new_bytes, .age_s = h->idle_s};
		(void)snprintf(item.text, sizeof(item.text), "%s", h->purpose);
		note(g, &item);
	}
	return 0;
}

static int mark_all(struct gc *g)
{
	struct marking m = {.gc = g};
	const struct walk_hooks hooks = {.visit = on_visit, .fault = on_fault, .self = &m};
	struct walk *w = NULL;
	int r = walk_new(g->env.layout, &hooks, &w);

	if (r < 0)
		return refuse(g, r, NULL, NULL);
	r = mark_names(g, w, &m);
	m.is_lease = true;
	for (size_t i = 0; r == 0 && i < g->held_len; i++)
		r = mark_lease(g, w, &m, &g->held[i]);
	walk_free(w);
	return r;
}

static int candidate_compare(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->age_s != y->age_s)
		return x->age_s > y->age_s ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/* ingestd has not removed what this blob was made from: it may yet ask for it. */
static bool has_ingest(int ingest_fd, const struct digest *d)
{
	char ref[DIGEST_TEXT_SIZE], id[INGEST_ID_SIZE];
	struct stat st;

	digest_format(d, ref);
	layout_ingest_id(span_str(ref), id);
	return ingest_fd >= 0 && fstatat(ingest_fd, id, &st, AT_SYMLINK_NOFOLLOW) == 0;
}

/*
 * The unmarked ones; those that may go come first. The ingests of all of them are gone, durably: otherwise a power cut could
 * leave one that says that its content is stored.
 */
static int choose(struct gc *g, struct reason *why)
{
	AUTO_FD ingest_fd = -1;
	int r = dir_open_at(layout_root_fd(g->env.layout), LAYOUT_INGEST, false, &ingest_fd);

	for (size_t i = 0; i < g->stored.len; i++) {
		if (g->stored.list[i].is_marked || has_ingest(ingest_fd, &g->stored.list[i].digest))
			continue;
		struct candidate *list =
		    array_room(g->candidates, g->candidates_len, &g->candidates_room, sizeof(*list));
		if (!list)
			return no_memory(why);
		g->candidates = list;
		list[g->candidates_len++] =
		    (struct candidate){.at = i, .age_s = ages_of(g->ages, &g->stored.list[i].digest)};
	}
	if (g->candidates_len > 1)
		qsort(g->candidates, g->candidates_len, sizeof(*g->candidates), candidate_compare);
	if (g->order.dry_run || g->candidates_len == 0 || r == -ENOENT)
		return 0;
	if (r == 0)
		r = FAILPOINT(SYNC, "gc.sync-ingests", durable_sync(ingest_fd));
	if (r < 0)
		reason_set(why, "cannot sync '%s/" LAYOUT_INGEST "': %s", layout_path(g->env.layout), strerror(-r));
	return r;
}

static void run_mark(struct gc *g)
{
	struct reason why = {""};
	/* What is stored comes first: what is committed from now on is no candidate. */
	int r = inventory_take(g->env.layout, &g->stored, &why);

	if (r == 0 && (r = ages_load(layout_leases_fd(g->env.layout), UNNEEDED_FILE, g->boot, &g->ages)) < 0)
		reason_set(&why, "cannot read '%s/" LAYOUT_LEASES "/" UNNEEDED_FILE "': %s", layout_path(g->env.layout),
			   strerror(-r));
	if (r == 0 && (r = mark_all(g)) == 0)
		r = choose(g, &why);
	if (r < 0)
		(void)refuse(g, r, NULL, &why);
	g->next = r < 0 ? PHASE_END : g->order.dry_run ? PHASE_FINISH : PHASE_SWEEP;
}

/* ── sweep ── */

static bool may_go(const struct gc *g, const struct candidate *c)
{
	return c->age_s >= g->order.older_s && g->report.bytes[GC_REMOVED] < g->order.want;
}

/* Mark what was pinned since the last time. */
static void apply_pins(struct gc *g)
{
	for (; g->pins_seen < g->env.pins->len; g->pins_seen++) {
		struct stored *blob = inventory_find(&g->stored, &g->env.pins->list[g->pins_seen]);
		if (blob)
			blob->is_marked = true;
	}
}

/* Keep it open, so that its space is given back by the collector. 0, also if it is gone, or -errno. */
static int unlink_blob(struct gc *g, const struct digest *d)
{
	char hex[DIGEST_TEXT_SIZE];
	int blobs_fd = layout_blobs_fd(g->env.layout, d->alg), fd = -1;

	digest_format_hex(d, hex);
	if (file_open_read_at(blobs_fd, hex, &fd, NULL) == 0)
		g->open[g->open_len++] = fd;
	return FAILPOINT(NAME, "gc.unlink", fs_unlinkat(blobs_fd, hex, 0)) < 0 && errno != ENOENT ? -errno : 0;
}

static void sweep(struct gc *g)
{
	AUTO_FD lock_fd = -1;
	struct reason why;

	if (!lock(g, &lock_fd))
		return;
	apply_pins(g);
	g->next = PHASE_CLOSE;
	for (; g->open_len < GC_SWEEP_STEP && g->swept < g->candidates_len; g->swept++) {
		const struct candidate *c = &g->candidates[g->swept];
		const struct stored *blob = &g->stored.list[c->at];
		if (g->env.pins->is_short) {
			fail(g, FAIL_AGAIN, "out of memory");
			return;
		}
		if (blob->is_marked)
			continue;
		int r = may_go(g, c) ? unlink_blob(g, &blob->digest) : -EAGAIN;
		if (r < 0 && r != -EAGAIN) {
			char digest[DIGEST_TEXT_SIZE];
			digest_format(&blob->digest, digest);
			reason_set(&why, "cannot remove '%s': %s", digest, strerror(-r));
			fail(g, FAIL_IO, why.text);
			return;
		}
		note_candidate(g, c, r == 0 ? GC_REMOVED : GC_WAITS);
		if (r < 0 && ages_keep(g->ages, &blob->digest) < 0)
			fail(g, FAIL_AGAIN, "out of memory");
	}
}

static void run_close(struct gc *g)
{
	while (g->open_len > 0)
		(void)close_fd(g->open[--g->open_len]);
	bool is_over = g->swept >= g->candidates_len || g->report.outcome != FAIL_NONE || atomic_load(&g->stop);
	g->next = is_over ? PHASE_FINISH : PHASE_SWEEP;
}

/* ── finish ── */

static void note_dry(struct gc *g)
{
	for (size_t i = 0; i < g->candidates_len; i++)
		note_candidate(g, &g->candidates[i], may_go(g, &g->candidates[i]) ? GC_REMOVED : GC_WAITS);
}

static void run_finish(struct gc *g)
{
	struct reason why;

	g->next = PHASE_END;
	if (g->order.dry_run) {
		note_dry(g);
		return;
	}
	/* A run that ended early leaves the rest as old as it was. */
	for (size_t i = g->swept; i < g->candidates_len; i++)
		if (ages_keep(g->ages, &g->stored.list[g->candidates[i].at].digest) < 0)
			fail(g, FAIL_AGAIN, "out of memory");
	if (g->swept < g->candidates_len && atomic_load(&g->stop))
		fail(g, FAIL_AGAIN, "commitd stops");
	int r = ages_store(g->ages, layout_leases_fd(g->env.layout), UNNEEDED_FILE);
	/* On a full disk everything is newly unneeded, if there is no room even without the former file. */
	if (file_is_full(r) && name_remove_at(layout_leases_fd(g->env.layout), UNNEEDED_FILE) == 0)
		r = ages_store(g->ages, layout_leases_fd(g->env.layout), UNNEEDED_FILE);
	if (r == 0 || file_is_full(r))
		return;
	reason_set(&why, "cannot write down what is unneeded in '%s/" LAYOUT_LEASES "/" UNNEEDED_FILE "': %s",
		   layout_path(g->env.layout), strerror(-r));
	fail(g, FAIL_IO, why.text);
}

/* ── the driver ── */

static void work_run(struct work *w)
{
	struct gc *g = (struct gc *)((char *)w - offsetof(struct gc, work));

	switch (g->phase) {
	case PHASE_BEGIN:
		begin(g);
		break;
	case PHASE_WAIT:
		clock_pause(LOCK_AGAIN_MS);
		g->next = g->waiting;
		break;
	case PHASE_MARK:
		run_mark(g);
		break;
	case PHASE_SWEEP:
		sweep(g);
		break;
	case PHASE_CLOSE:
		run_close(g);
		break;
	case PHASE_FINISH:
		run_finish(g);
		break;
	case PHASE_END:
		pins_end(g->env.pins);
		g->next = PHASE_NONE;
		break;
	case PHASE_NONE:
		break;
	}
}

static void release(struct gc *g)
{
	inventory_release(&g->stored);
	ages_free(g->ages);
	free(g->held);
	free(g->candidates);
	g->ages = NULL;
	g->held = NULL;
	g->candidates = NULL;
	g->held_len = g->held_room = g->candidates_len = g->candidates_room = g->swept = 0;
}

static void enter(struct gc *g, enum phase phase);

static void work_done(struct work *w)
{
	struct gc *g = (struct gc *)((char *)w - offsetof(struct gc, work));

	if (g->is_halted)
		return;
	if (g->next != PHASE_NONE) {
		enter(g, g->next);
		return;
	}
	g->phase = PHASE_NONE;
	release(g);
	g->env.done(g->env.self, &g->report);
}

static void enter(struct gc *g, enum phase phase)
{
	bool is_committers = phase == PHASE_BEGIN || phase == PHASE_SWEEP || phase == PHASE_END;

	g->phase = phase;
	g->work = (struct work){.run = work_run, .done = work_done};
	workers_submit(is_committers ? g->env.committer : g->env.collector, &g->work);
}

int gc_new(const struct gc_env *env, struct gc **ret_gc)
{
	struct gc *g = calloc(1, sizeof(*g));

	if (!g)
		return -ENOMEM;
	g->env = *env;
	(void)boot_id_read(NULL, g->boot); /* unknown is a boot of its own */
	atomic_init(&g->stop, false);
	*ret_gc = g;
	return 0;
}

void gc_free(struct gc *g)
{
	if (!g)
		return;
	while (g->open_len > 0)
		(void)close_fd(g->open[--g->open_len]);
	release(g);
	free(g->items);
	free(g);
}

bool gc_is_running(const struct gc *g)
{
	return g->phase != PHASE_NONE;
}

bool gc_start(struct gc *g, const struct gc_order *order)
{
	if (gc_is_running(g))
		return false;
	g->order = *order;
	g->report = (struct gc_report){.outcome = FAIL_NONE};
	g->items_len = g->pins_seen = 0;
	g->lock_until_ms = 0;
	enter(g, PHASE_BEGIN);
	return true;
}

void gc_stop(struct gc *g)
{
	atomic_store(&g->stop, true);
}

void gc_halt(struct gc *g)
{
	gc_stop(g);
	g->is_halted = true;
}

const struct gc_item *gc_item(const struct gc *g, size_t number)
{
	return !gc_is_running(g) && number < g->items_len ? &g->items[number] : NULL;
}
