/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings for one host: its section of the configuration, completed by the settings for all hosts. Resolved once
 * per request into a copy, so that nothing is looked up in the middle of a body, and a reload of the configuration
 * changes nothing for a running request.
 */
#ifndef SLUICE_FETCHD_CONFIG_POLICY_H
#define SLUICE_FETCHD_CONFIG_POLICY_H

#include "fetchd/config/settings.h"
#include "fetchd/config/terms.h"

struct policy {
	enum plain_http plain_http;
	struct http_tls tls;
	struct host_settings host; /* never UNSAID */
	uint64_t bandwidth;        /* for all transfers together */
	struct registry_list headers;
};

/* `host`: "docker.io", "localhost:5000". */
void policy_resolve(const struct settings *s, const char *host, struct policy *ret_policy);

/* Override it by what the terms of an order say about their source's host. Texts are borrowed from the terms. */
void policy_take_terms(struct policy *p, const struct terms *t);

/* Set TLS, time-outs, patience and headers of a request. They are borrowed from the policy. */
void policy_fill(const struct policy *p, struct http_ask *ask);

/*
 * Whether a host to which a server sent us is trusted: its certificate is verified, or the configuration has a section
 * for it.
 */
bool policy_knows(const struct settings *s, const char *host, bool tls);

/* The nth mirror of a registry, or NULL: there are no more. Lives as long as the process. */
const char *policy_mirror(const struct settings *s, const char *registry, size_t n);

#endif
