/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people may see of a URL. Everything that prints, logs, stores for people or sends to them a URL, a source, or what
 * somebody gave for one, prints this of it.
 */
#ifndef SLUICE_BASE_SHOWN_H
#define SLUICE_BASE_SHOWN_H

#include "common/base/span.h"

#define SHOWN_SIZE 201 /* bytes, with the terminator */

/*
 * Without the query and the fragment, which may be a signature, "***" for a user and a password, and cut behind "...". A
 * text that is not a URL, as without its scheme, is treated like one: it may be meant for one.
 */
void shown_of(struct span text, char ret_text[static SHOWN_SIZE]);

#endif
