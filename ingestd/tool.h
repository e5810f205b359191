/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verbs of ingestd for pipelines without daemons. They need only the store and may block; the ingest's lock keeps
 * them and a daemon apart. Both return an exit code of sysexits(3), after printing an error line unless it is 0.
 */
#ifndef SLUICE_INGESTD_TOOL_H
#define SLUICE_INGESTD_TOOL_H

#include "ingestd/settings.h"

/* ingestd put REF: frames or raw bytes from standard input into the ingest; a seal on standard output. */
int put_run(const struct settings *s, const char *ref);

/* ingestd offset REF: print the offset to resume from. */
int offset_run(const struct settings *s, const char *ref);

#endif
