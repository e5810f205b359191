/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What holds for one host: its own section of the configuration, and for whatever that leaves open the settings for
 * all hosts. Looked up once for a request and then a value of its own, so that nothing is compared in the middle of a body
 * and a configuration that is read again changes nothing under a request that runs.
 */
#ifndef SLUICE_FETCHD_CONFIG_POLICY_H
#define SLUICE_FETCHD_CONFIG_POLICY_H

#include "fetchd/config/settings.h"

struct policy {
	enum plain_http plain_http;
	struct http_tls tls;
	struct host_settings host; /* nothing is UNSAID */
	uint64_t bandwidth;        /* of all transfers together */
	struct registry_list headers;
};

/* "docker.io", "localhost:5000". */
void policy_resolve(const struct settings *s, const char *host, struct policy *ret_policy);

/* Put TLS, time-outs, patience and headers into a request. They are borrowed from the policy. */
void policy_fill(const struct policy *p, struct http_ask *ask);

/* The nth mirror of a registry, or NULL: there are no more. Lives as long as the process. */
const char *policy_mirror(const struct settings *s, const char *registry, size_t n);

#endif
