/*
 * ingest.ctl: what sluice requests of ingestd.
 */
#ifndef SLUICE_INGESTD_CONTROL_H
#define SLUICE_INGESTD_CONTROL_H

#include "common/wire/stage.h"
#include "ingestd/chunks.h"
#include "ingestd/flow.h"

struct loop;
struct control;

struct control_env {
	struct loop *loop;
	const char *runtime_dir;
	const struct stage_self *who; /* we are */
	struct flow *flow;
	const struct chunks *chunks; /* who knows fetchd's counts */
	void (*refresh)(void *self); /* the gauges of counters.h, before they are told */
	void *self;
};

/* Bind `ingest.ctl` and answer what comes. `env` is copied, what it points to borrowed. 0 or -errno. */
int control_new(const struct control_env *env, struct control **ret_control);
void control_free(struct control *c);

/* Take nothing any more. */
void control_stop(struct control *c);

#endif
