/*
 * What `sluice doctor` looks at, and how it says what it finds: a line each, with what to do.
 */
#ifndef SLUICE_SLUICE_CMD_DOCTOR_H
#define SLUICE_SLUICE_CMD_DOCTOR_H

/* OCI */
#include "common/oci/json.h"

/* Sluice */
#include "sluice/command.h"
#include "sluice/run/counts.h"

enum finding {
	FINDING_OK,
	FINDING_WARN, /* it works, and may not for long */
	FINDING_FAIL, /* it does not work */
};

struct doctor {
	const struct context *ctx;
	int dir_fd;    /* the runtime directory, or -1 */
	bool services; /* the stages are systemd's to start */
	struct figures figures;
	struct json_t *list; /* with --json: what was found so far */
	enum finding worst;
};

/* Say what was found; `advice` is what to do about it, NULL for an OK. */
void doctor_say(struct doctor *d, enum finding found, const char *check, const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* doctor_places.c: the runtime directory, the store, its space, the programs and the configuration. */
void doctor_runtime(struct doctor *d);
void doctor_store(struct doctor *d);
void doctor_space(struct doctor *d);
void doctor_programs(struct doctor *d);
void doctor_config(struct doctor *d);

/* doctor_stages.c: what the stages say of themselves. */
void doctor_stages(struct doctor *d);
void doctor_pipes(struct doctor *d);
void doctor_versions(struct doctor *d);
void doctor_identity(struct doctor *d);
void doctor_writing(struct doctor *d);

#endif
