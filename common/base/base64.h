/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 with padding and without line ends (RFC 4648, 4). */
#ifndef SLUICE_BASE_BASE64_H
#define SLUICE_BASE_BASE64_H

#include <stdbool.h>

#include "common/base/buf.h"

/* Whether the text is that and nothing else. Not where it is empty. */
bool base64_is(struct span text);

/* Append the text of the bytes, fewer than INT_MAX / 2. 0, or -ENOMEM with the buffer unchanged. */
int base64_encode(struct span bytes, struct buf *out);

/* Append the bytes of a text that base64_is(). 0, or -ENOMEM with the buffer unchanged. */
int base64_decode(struct span text, struct buf *out);

#endif
