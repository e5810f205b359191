/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon.
 */
#ifndef SLUICE_INGESTD_SERVE_H
#define SLUICE_INGESTD_SERVE_H

#include "ingestd/settings.h"

/* Serve until SIGTERM or SIGINT. Returns the exit code; says why it is not 0. */
int serve_run(const struct settings *s);

#endif
