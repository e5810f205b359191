/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Growable arrays. The caller's own struct holds the pointer, the length and the capacity.
 *
 *   struct row *rows = array_room(l->rows, l->len, &l->room, sizeof(*rows));
 *   if (!rows)
 *           return -ENOMEM;
 *   l->rows = rows;
 *   rows[l->len++] = row;
 */
#ifndef SLUICE_BASE_ARRAY_H
#define SLUICE_BASE_ARRAY_H

#include <stddef.h>

/*
 * Make room for one more element after the first `len`. Returns the array, which may have moved, and updates `room`.
 * The capacity doubles, so that appending is cheap. NULL: out of memory, and nothing has changed. Free it with free(3).
 */
void *array_room(void *array, size_t len, size_t *room, size_t element_bytes);

#endif
