/*
 * Ctrl-C and SIGTERM for commands that wait: the first one is noted and the command ends in order, a second one ends it
 * at once.
 */
#ifndef SLUICE_SLUICE_RUN_INTERRUPT_H
#define SLUICE_SLUICE_RUN_INTERRUPT_H

#include <stdbool.h>

/* Blocking calls return EINTR from here on. */
void interrupt_catch(void);

/* Whether a signal came. */
bool interrupt_seen(void);

/* Die of the signal that came. Does not return. */
_Noreturn void interrupt_die(void);

#endif
