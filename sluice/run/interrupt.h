/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ctrl-C and SIGTERM for commands that wait: the first is noted, and the command ends cleanly; a second one ends it at
 * once.
 */
#ifndef SLUICE_SLUICE_RUN_INTERRUPT_H
#define SLUICE_SLUICE_RUN_INTERRUPT_H

#include <stdbool.h>

/* The exit code of an interrupted command: main() turns it into death by that signal. */
#define EXIT_INTERRUPTED 130

/* Blocking calls return EINTR from here on. */
void interrupt_catch(void);

/* Whether a signal came. */
bool interrupt_seen(void);

/* Die of the signal that came. Does not return. */
_Noreturn void interrupt_die(void);

#endif
