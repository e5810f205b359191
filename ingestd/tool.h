/*
 * The tools of ingestd, for people who pipe the stages by hand. They use the store alone and block as they please; the
 * ingest's lock keeps them and a daemon apart. Both return an exit code of sysexits(3), and have said why.
 */
#ifndef SLUICE_INGESTD_TOOL_H
#define SLUICE_INGESTD_TOOL_H

#include "ingestd/settings.h"

/* ingestd put REF: frames or raw bytes from standard input into the ingest; a seal on standard output. */
int put_run(const struct settings *s, const char *ref);

/* ingestd offset REF: print where to go on from. */
int offset_run(const struct settings *s, const char *ref);

#endif
