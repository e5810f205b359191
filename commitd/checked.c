/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/checked.h"

/* System */
#include <errno.h>
#include <search.h>
#include <stdlib.h>

/* Base */
#include "common/base/boot.h"
#include "common/base/clock.h"
#include "common/base/durable.h"
#include "common/base/failpoint.h"
#include "common/base/file.h"

/* Store */
#include "common/store/ages.h"

struct good {
	struct digest digest;
	int64_t at_s;  /* when it was read: seconds since this boot, perhaps before it */
	bool in_round; /* in this round */
	bool is_good;  /* false: dropped */
};

struct checked {
	struct layout *layout;
	uint8_t boot[BOOT_ID_SIZE];
	void *goods; /* tsearch(3) by digest */
	bool is_changed;
};

static int compare(const void *a, const void *b)
{
	return digest_compare(&((const struct good *)a)->digest, &((const struct good *)b)->digest);
}

static struct good *find(const struct checked *c, const struct digest *d)
{
	const struct good key = {.digest = *d};
	void *found = tfind(&key, &c->goods, compare);
	struct good *g = found ? *(struct good **)found : NULL;

	return g && g->is_good ? g : NULL;
}

static int put(struct checked *c, const struct digest *d, int64_t at_s, bool in_round)
{
	struct good *g = malloc(sizeof(*g));

	if (!g)
		return -ENOMEM;
	*g = (struct good){.digest = *d, .at_s = at_s, .in_round = in_round, .is_good = true};
	struct good **slot = tsearch(g, &c->goods, compare);
	if (slot && *slot != g)
		**slot = *g;
	if (!slot || *slot != g)
		free(g);
	return slot ? 0 : -ENOMEM;
}

struct reading {
	struct checked *checked;
	bool in_round;
};

static int take_age(void *self, const struct digest *d, uint64_t age_s)
{
	const struct reading *r = self;

	return put(r->checked, d, (int64_t)clock_boot_s() - (int64_t)age_s, r->in_round);
}

static int load(struct checked *c, const char *name, bool in_round)
{
	struct reading reading = {.checked = c, .in_round = in_round};
	struct ages *ages;
	int r = ages_load(layout_leases_fd(c->layout), name, c->boot, &ages);

	if (r < 0)
		return r;
	r = ages_each(ages, take_age, &reading);
	ages_free(ages);
	return r;
}

int checked_open(struct layout *l, struct checked **ret_checked)
{
	struct checked *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->layout = l;
	(void)boot_id_read(NULL, c->boot); /* unknown is a boot of its own */
	int r = load(c, CHECKED_FILE, false);
	if (r == 0)
		r = load(c, CHECKING_FILE, true);
	if (r < 0) {
		checked_close(c);
		return r;
	}
	*ret_checked = c;
	return 0;
}

void checked_close(struct checked *c)
{
	if (!c)
		return;
	tdestroy(c->goods, free);
	free(c);
}

bool checked_in_round(const struct checked *c, const struct digest *d)
{
	const struct good *g = find(c, d);

	return g && g->in_round;
}

bool checked_within(const struct checked *c, const struct digest *d, uint64_t age_s)
{
	const struct good *g = find(c, d);

	return g && (uint64_t)((int64_t)clock_boot_s() - g->at_s) < age_s;
}

int checked_add(struct checked *c, const struct digest *d, bool for_round)
{
	bool in_round = for_round || checked_in_round(c, d);
	int r = put(c, d, (int64_t)clock_boot_s(), in_round);

	c->is_changed = c->is_changed || (r == 0 && in_round);
	return r;
}

void checked_drop(struct checked *c, const struct digest *d)
{
	struct good *g = find(c, d);

	if (!g)
		return;
	g->is_good = false;
	c->is_changed = true;
}

bool checked_is_changed(const struct checked *c)
{
	return c->is_changed;
}

/* ── writing ── */

struct writing {
	struct checked *checked;
	struct ages *ages;
	bool only_round;
	int error;
};

static void write_one(const void *node, VISIT visit, void *closure)
{
	struct writing *w = closure;
	struct good *g = *(struct good *const *)node;
	uint64_t size;

	if ((visit != postorder && visit != leaf) || w->error < 0 || !g->is_good || (w->only_round && !g->in_round))
		return;
	if (!w->only_round)
		g->is_good = layout_blob_size(w->checked->layout, &g->digest, &size) == 0;
	if (g->is_good)
		w->error = ages_add(w->ages, &g->digest, (uint64_t)((int64_t)clock_boot_s() - g->at_s));
}

static int store(struct checked *c, const char *name, bool only_round)
{
	struct writing w = {.checked = c, .only_round = only_round};
	int r = ages_new(c->boot, &w.ages);

	if (r < 0)
		return r;
	twalk_r(c->goods, write_one, &w);
	r = w.error;
	if (r == 0)
		r = ages_store(w.ages, layout_leases_fd(c->layout), name);
	ages_free(w.ages);
	return r;
}

int checked_save(struct checked *c)
{
	int r = c->is_changed ? store(c, CHECKING_FILE, true) : 0;

	if (r == 0)
		c->is_changed = false;
	return r;
}

static void leave_round(const void *node, VISIT visit, void *closure)
{
	(void)closure;
	if (visit == postorder || visit == leaf)
		(*(struct good *const *)node)->in_round = false;
}

/* After a crash in between, the blobs of the ended round are in both files, and the next check ends it again. */
int checked_finish(struct checked *c)
{
	int r = store(c, CHECKED_FILE, false);

	if (r == 0)
		r = FAILPOINT(NAME, "checked.finish", name_remove_at(layout_leases_fd(c->layout), CHECKING_FILE));
	if (r == 0)
		r = FAILPOINT(SYNC, "checked.sync", durable_sync_dir(layout_leases_fd(c->layout)));
	if (r < 0)
		return r;
	twalk_r(c->goods, leave_round, NULL);
	c->is_changed = false;
	return 0;
}
