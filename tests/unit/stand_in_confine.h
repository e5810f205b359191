/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetchd without a second process and without restrictions, which would outlast the test. Linked in place of
 * fetchd/confine.c. Include it in one file of a program.
 */
#ifndef SLUICE_TESTS_UNIT_STAND_IN_CONFINE_H
#define SLUICE_TESTS_UNIT_STAND_IN_CONFINE_H

/* Own */
#include "tests/unit/stand_in_keeper.h"

/* What it stands in for */
#include "fetchd/confine.h"

int confine_calls(const struct call *call, struct keeper **ret_keeper)
{
	static struct keeper keeper;
	const struct settings *s = call->settings;
	keeper = (struct keeper){.auth_file = s->auth_file};
	*ret_keeper = &keeper;
	return 0;
}

void confine_files(const struct settings *s)
{
	(void)s;
}

#endif
