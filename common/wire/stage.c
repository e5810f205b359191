#include "common/wire/stage.h"

/* System */
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

/* Base */
#include "common/base/clock.h"

const char *stage_name(enum stage_id stage)
{
	static const char *const names[] = {
	    [STAGE_FETCHD] = "fetchd",
	    [STAGE_INGESTD] = "ingestd",
	    [STAGE_COMMITD] = "commitd",
	};

	return names[stage];
}

const char *stage_lock(enum stage_id stage)
{
	static const char *const locks[] = {
	    [STAGE_FETCHD] = "fetchd.lock",
	    [STAGE_INGESTD] = "ingestd.lock",
	    [STAGE_COMMITD] = "commitd.lock",
	};

	return locks[stage];
}

int stage_self_init(struct stage_self *self, enum stage_id stage)
{
	*self = (struct stage_self){.stage = stage, .started_s = clock_wall_s()};
	while (self->incarnation == 0) {
		ssize_t n = getrandom(&self->incarnation, sizeof(self->incarnation), 0);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n != (ssize_t)sizeof(self->incarnation))
			self->incarnation = 0;
	}
	return 0;
}
