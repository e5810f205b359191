/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/fetcher.h"

/* Base */
#include "common/base/clock.h"

int fetcher_open(struct fetcher *f, struct loop *loop, const struct settings *settings)
{
	f->loop = loop;
	f->settings = settings;
	int r = http_new(loop, &f->http);
	if (r == 0)
		r = hosts_new(&f->hosts);
	return r < 0 ? r : passes_new(f->keeper, f->http, settings, &f->passes);
}

int fetcher_forget(struct fetcher *f)
{
	passes_forget(f->passes);
	hosts_forget(f->hosts);
	return http_forget(f->http);
}

static void drop_terms(struct fetcher *f, uint64_t now_ms)
{
	struct terms *t;
	while ((t = terms_expired(&f->terms, now_ms))) {
		passes_forget_terms(f->passes, t);
		http_leave(f->http, t->number);
		terms_free(t);
	}
}

void fetcher_tidy(struct fetcher *f)
{
	drop_terms(f, clock_mono_ms());
}

void fetcher_close(struct fetcher *f)
{
	if (f->passes)
		drop_terms(f, UINT64_MAX);
	passes_free(f->passes);
	hosts_free(f->hosts);
	http_free(f->http);
	*f = (struct fetcher){0};
}
