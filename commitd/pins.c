/* SPDX-License-Identifier: Apache-2.0 */
#include "commitd/pins.h"

/* System */
#include <errno.h>
#include <stdlib.h>

/* Base */
#include "common/base/array.h"

/* Store */
#include "common/store/walk.h"

void pins_begin(struct pins *p)
{
	p->is_on = true;
	p->is_short = false;
	p->len = 0;
}

void pins_end(struct pins *p)
{
	free(p->list);
	*p = (struct pins)PINS_INIT;
}

void pins_add(struct pins *p, const struct digest *d)
{
	if (!p->is_on)
		return;
	struct digest *list = array_room(p->list, p->len, &p->room, sizeof(*list));
	if (!list) {
		p->is_short = true;
		return;
	}
	p->list = list;
	p->list[p->len++] = *d;
}

static int on_visit(void *self, const struct walk_node *node, struct reason *why)
{
	(void)why;
	pins_add(self, &node->descriptor->digest);
	return 0;
}

void pins_add_root(struct pins *p, struct layout *l, const struct digest *d)
{
	const struct walk_hooks hooks = {.visit = on_visit, .fault = walk_pass_over, .self = p};
	struct descriptor root = {.digest = *d, .size = SIZE_UNKNOWN};
	struct walk *w = NULL;

	if (!p->is_on)
		return;
	int r = walk_new(l, &hooks, &w);
	if (r == 0)
		r = walk_from(w, &root, NULL);
	if (r < 0)
		p->is_short = true;
	walk_free(w);
}
