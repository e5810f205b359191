/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon.
 */
#ifndef SLUICE_COMMITD_SERVE_H
#define SLUICE_COMMITD_SERVE_H

#include "commitd/settings.h"

/* Serve until SIGTERM or SIGINT. Returns the exit code; says why it is not 0. */
int serve_run(const struct settings *settings);

#endif
