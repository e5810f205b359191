/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arrays that grow: a pointer, how many elements there are and how many there is room for, in the caller's own struct.
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
 * Make room for one element behind the `len` that are there: the array, perhaps moved, and `room` with it. Doubles, so
 * that adding one after the other costs little. NULL: out of memory, and all is as it was. Freed with free(3).
 */
void *array_room(void *array, size_t len, size_t *room, size_t element_bytes);

#endif
