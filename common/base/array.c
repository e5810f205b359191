/* SPDX-License-Identifier: Apache-2.0 */
#include "common/base/array.h"

/* System */
#include <stdint.h>
#include <stdlib.h>

#define ROOM_FIRST 16

void *array_room(void *array, size_t len, size_t *room, size_t element_bytes)
{
	if (len < *room)
		return array;
	size_t wider = *room > SIZE_MAX / 2 ? SIZE_MAX : *room > 0 ? *room * 2 : ROOM_FIRST;
	void *moved = wider > SIZE_MAX / 2 / element_bytes ? NULL : realloc(array, wider * element_bytes);
	if (moved)
		*room = wider;
	return moved;
}
