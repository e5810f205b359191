/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/host.h"

/* System */
#include <assert.h>

struct hosts {
	struct host all[HOSTS_MAX];
	size_t next_victim;
};

int hosts_new(struct hosts **ret_hosts)
{
	struct hosts *hs = calloc(1, sizeof(*hs));
	if (!hs)
		return -ENOMEM;
	*ret_hosts = hs;
	return 0;
}

void hosts_free(struct hosts *hs)
{
	free(hs);
}

static bool is_idle(const struct host *h)
{
	return h->holding == 0 && TAILQ_EMPTY(&h->line) && h->breaker.held == 0;
}

/* Idle entries are replaced in turn, so that a single new host does not displace a busy set. */
static struct host *find_place(struct hosts *hs)
{
	for (size_t i = 0; i < HOSTS_MAX; i++)
		if (!hs->all[i].used)
			return &hs->all[i];
	for (size_t i = 0; i < HOSTS_MAX; i++) {
		struct host *h = &hs->all[hs->next_victim++ % HOSTS_MAX];
		if (is_idle(h))
			return h;
	}
	return NULL;
}

static struct host *find(struct hosts *hs, const struct origin *origin, uint64_t lane)
{
	for (size_t i = 0; i < HOSTS_MAX; i++)
		if (hs->all[i].used && hs->all[i].lane == lane && origin_eq(&hs->all[i].origin, origin))
			return &hs->all[i];
	return NULL;
}

static struct host *get(struct hosts *hs, const struct origin *origin, uint64_t lane)
{
	struct host *h = find(hs, origin, lane);
	if (h)
		return h;
	h = find_place(hs);
	if (!h)
		return NULL;
	*h = (struct host){.origin = *origin, .lane = lane, .used = true};
	TAILQ_INIT(&h->line);
	return h;
}

int turn_begin(struct hosts *hs, const struct origin *origin, uint64_t limit, struct turn *t)
{
	assert(!t->host);
	struct host *h = get(hs, origin, 0);
	if (!h)
		return -EAGAIN;
	t->host = h;
	if (h->holding < limit) {
		t->holding = true;
		h->holding++;
		return 1;
	}
	TAILQ_INSERT_TAIL(&h->line, t, link);
	return 0;
}

bool turn_try(struct hosts *hs, const struct origin *origin, uint64_t limit, struct turn *t)
{
	assert(!t->host);
	struct host *h = get(hs, origin, 0);
	if (!h || !TAILQ_EMPTY(&h->line) || h->holding >= limit)
		return false;
	t->host = h;
	t->holding = true;
	h->holding++;
	return true;
}

void host_ranges_off(struct hosts *hs, const struct origin *origin, uint64_t till_ms)
{
	struct host *h = get(hs, origin, 0);
	if (h)
		h->ranges_off_till_ms = till_ms;
}

bool host_ranges_allowed(struct hosts *hs, const struct origin *origin, uint64_t now_ms)
{
	const struct host *h = get(hs, origin, 0);
	return h && h->ranges_off_till_ms <= now_ms;
}

struct breaker *host_breaker(struct hosts *hs, const struct origin *origin, uint64_t lane)
{
	struct host *h = get(hs, origin, lane);
	return h ? &h->breaker : NULL;
}

bool host_admits(struct hosts *hs, const struct origin *origin, uint64_t lane, uint64_t now_ms)
{
	const struct host *h = find(hs, origin, lane);
	return !h || breaker_admits(&h->breaker, now_ms);
}

unsigned hosts_open(const struct hosts *hs)
{
	unsigned open = 0;
	for (size_t i = 0; i < HOSTS_MAX; i++)
		open += hs->all[i].used && hs->all[i].breaker.state == BREAKER_OPEN;
	return open;
}

void hosts_forget(struct hosts *hs)
{
	for (size_t i = 0; i < HOSTS_MAX; i++)
		if (hs->all[i].used)
			breaker_forget(&hs->all[i].breaker);
}

void turn_note_answer(struct turn *t)
{
	t->host->answered = true;
}

bool host_has_answered(struct hosts *hs, const struct origin *origin)
{
	const struct host *h = find(hs, origin, 0);
	return h && h->answered;
}

void turn_end(struct turn *t)
{
	struct host *h = t->host;
	if (!h)
		return;
	t->host = NULL;
	if (!t->holding) {
		TAILQ_REMOVE(&h->line, t, link);
		return;
	}
	t->holding = false;
	struct turn *heir = TAILQ_FIRST(&h->line);
	if (!heir) {
		h->holding--;
		return;
	}
	TAILQ_REMOVE(&h->line, heir, link);
	heir->holding = true;
	heir->go(heir->self);
}
