/* SPDX-License-Identifier: Apache-2.0 */
/* Memory for libcurl that is overwritten when it is freed: libcurl copies passwords and tokens into its requests. */
#ifndef SLUICE_FETCHD_HTTP_WIPING_H
#define SLUICE_FETCHD_HTTP_WIPING_H

#include <stddef.h>

/* Like free(3) and realloc(3), for memory of malloc(3) and its like. */
void wiping_free(void *data);
void *wiping_realloc(void *data, size_t size);

#endif
