/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the values of a JSON text begin and end, without building them: for a document that is edited as text, so that
 * all that is not edited keeps its bytes, and that is too long to be parsed for every edit.
 *
 * These functions only look at strings and brackets. If the text is valid JSON, the pieces are its values. If it is
 * not, cutting fails, or a piece or what remains without the pieces is not valid: so the caller parses those.
 */
#ifndef SLUICE_OCI_JSON_CUT_H
#define SLUICE_OCI_JSON_CUT_H

#include <stddef.h>

#include "common/base/span.h"

/*
 * The value of the first member `key` of the object `text`: a view into it. -ENOENT: no such member, or not an object.
 * -ENOMEM.
 */
int json_cut_member(struct span text, const char *key, struct span *ret_value);

/*
 * The next element of the array `text`; `at` is 0 at first, and is moved behind the element. 1: `ret_element` is a view
 * into the text, which may be empty if the text is not valid. 0: there are no more, and the array ends where the text
 * does. -EINVAL: it does not, or it is not an array.
 */
int json_cut_element(struct span text, size_t *at, struct span *ret_element);

#endif
