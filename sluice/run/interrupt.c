/* SPDX-License-Identifier: Apache-2.0 */
/* Own header */
#include "sluice/run/interrupt.h"

/* System */
#include <signal.h>
#include <stdlib.h>

/* Base */
#include "common/base/log.h"

static volatile sig_atomic_t seen;

static void on_signal(int number)
{
	seen = number;
}

void interrupt_catch(void)
{
	/* SA_RESETHAND: the second signal takes its default action. No SA_RESTART: blocking calls must return. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};

	(void)sigemptyset(&action.sa_mask);
	(void)sigaction(SIGINT, &action, NULL);
	(void)sigaction(SIGTERM, &action, NULL);
}

bool interrupt_seen(void)
{
	return seen != 0;
}

_Noreturn void interrupt_die(void)
{
	int number = seen;

	if (number != 0) {
		log_flush();
		(void)signal(number, SIG_DFL);
		(void)raise(number);
	}
	exit(EXIT_INTERRUPTED);
}
