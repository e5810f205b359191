/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libcurl on our event loop: a multi handle, its sockets and its timer. A pool is also everything that libcurl
 * remembers between requests (connections, certificate authorities, addresses of names), so a new pool is how it
 * forgets.
 *
 *   pool_new() ─► in use ─► pool_retire() ─► retired ─► the last request has ended ─► gone
 */
#ifndef SLUICE_FETCHD_HTTP_POOL_H
#define SLUICE_FETCHD_HTTP_POOL_H

#include <curl/curl.h>
#include <stdbool.h>

struct loop;
struct pool;

/* Called from the loop when a request has ended; must call pool_remove(). */
typedef void pool_ended(CURL *easy, CURLcode code);

/* Borrows the loop. 0 or -ENOMEM. curl_global_init() must have been called. */
int pool_new(struct loop *loop, pool_ended *ended, struct pool **ret_pool);

/* Accept no new requests; free the pool now, or when the last running one is removed. NULL is fine. */
void pool_retire(struct pool *p);

/* Start a request. False: no memory. */
bool pool_add(struct pool *p, CURL *easy);

/* Stop a request, or remove it after its end. This may free a retired pool. */
void pool_remove(struct pool *p, CURL *easy);

#endif
