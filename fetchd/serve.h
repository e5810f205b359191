/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon: the pipes, what the transfers share, and reloading the configuration on SIGHUP.
 */
#ifndef SLUICE_FETCHD_SERVE_H
#define SLUICE_FETCHD_SERVE_H

#include "common/base/program.h"

/* Warn about each registry whose certificate is not verified, so that the setting is not forgotten. */
struct settings;
void serve_warn_of_skipped(const struct settings *s);

/* Serve ingestd until told to stop. Returns the exit code. */
int serve_run(const struct call *call);

#endif
