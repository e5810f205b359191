/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people may see of a URL. All code that shows people a URL, a source, or what somebody passed as one (printed,
 * logged, stored or sent) shows this form.
 */
#ifndef SLUICE_BASE_SHOWN_H
#define SLUICE_BASE_SHOWN_H

#include "common/base/span.h"

#define SHOWN_SIZE 201 /* bytes, with the terminator */

/*
 * Without query and fragment (behind a '#', if there is a '/'), which may be a signature; with "***" for user and password; and if too long, cut and
 * ended with "...". A text that is not a URL, for example without a scheme, is treated as one: it may be meant as one.
 */
void shown_of(struct span text, char ret_text[static SHOWN_SIZE]);

#endif
