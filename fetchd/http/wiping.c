/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/wiping.h"

/* System */
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

void wiping_free(void *data)
{
	if (data)
		explicit_bzero(data, malloc_usable_size(data));
	free(data);
}

/* realloc(3) itself may leave a copy behind. */
void *wiping_realloc(void *data, size_t size)
{
	size_t old = data ? malloc_usable_size(data) : 0;
	void *moved = malloc(size);
	if (!moved)
		return NULL;
	if (data)
		memcpy(moved, data, old < size ? old : size);
	wiping_free(data);
	return moved;
}
