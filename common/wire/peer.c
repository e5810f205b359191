/* SPDX-License-Identifier: Apache-2.0 */
#include "common/wire/peer.h"

/* System */
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

/* Base */
#include "common/base/clock.h"

int peer_init(struct peer *p)
{
	*p = (struct peer){.started_s = clock_wall_s()};
	while (p->self == 0) {
		ssize_t n = getrandom(&p->self, sizeof(p->self), 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n != (ssize_t)sizeof(p->self))
			p->self = 0;
	}
	return 0;
}

bool peer_hello(struct peer *p, uint64_t incarnation, uint64_t named)
{
	bool is_new = p->other != incarnation;

	if (is_new && p->other != 0)
		p->restarts++;
	p->other = incarnation;
	p->greeted = named == p->self;
	return is_new;
}
