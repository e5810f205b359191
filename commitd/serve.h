/*
 * The daemon.
 */
#ifndef SLUICE_COMMITD_SERVE_H
#define SLUICE_COMMITD_SERVE_H

#include <stdbool.h>

struct serve_options {
	const char *store;
	const char *runtime_dir;
	bool verify_always;
};

/* Serve until SIGTERM or SIGINT. Returns the exit code; says why it is not 0. */
int serve_run(const struct serve_options *options);

#endif
