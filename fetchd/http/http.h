/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP exchanges by libcurl's multi interface on our loop: one request, one response, no decisions. Redirects,
 * credentials, ranges and retries are up to the caller. This header is a seam: it names no library, and a program may
 * be linked with another implementation. http.c alone makes requests by libcurl; pool.c runs them on our loop, url.c
 * has its parser of URLs, curl_error.c its errors.
 *
 * HTTP/1.1 only: pausing HTTP/2 streams has a trail of bugs around libcurl 7.88. No content encoding is asked for,
 * because offsets count the bytes of the content as it is.
 */
#ifndef SLUICE_FETCHD_HTTP_HTTP_H
#define SLUICE_FETCHD_HTTP_HTTP_H

#include "fetchd/http/failure.h"
#include "fetchd/http/guard.h"
#include "fetchd/http/patience.h"
#include "fetchd/http/response.h"

struct loop;
struct http;
struct exchange;

enum body_answer {
	BODY_TAKEN,
	BODY_DROPPED, /* the same, but it is not wanted: no progress */
	BODY_PAUSE,   /* nothing was taken: offer it again after http_resume() */
	BODY_STOP,    /* end the exchange */
};

/* Called from the loop; `body` also from within http_resume(). */
struct http_hooks {
	/* The head is whole. False: stop. Not called for a head that is refused. */
	bool (*head)(void *self, const struct response *r);
	/* Bytes of the body, at most 16 KiB at a time; borrowed for the call. */
	enum body_answer (*body)(void *self, const void *data, size_t len);
	/*
	 * The exchange is over and gone. `error` is the errno of a connection that failed, or 0; `why` tells more about
	 * any other end than HTTP_WHOLE and HTTP_STOPPED.
	 */
	void (*done)(void *self, enum http_end end, int error, const struct reason *why);
};

/* How TLS with a host is configured. */
struct http_tls {
	const char *ca_file;     /* PEM; NULL: the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR */
	char *ca_besides;        /* without ca_file: PEM, the text, of authorities besides the system's; or NULL */
	const char *client_cert; /* PEM, or NULL */
	const char *client_key;  /* PEM; NULL: it is in client_cert */
	bool skip_verify;        /* accept any certificate */
	const char *trouble; /* why a certificate cannot be used, for when TLS fails; lives as long as the process */
};

struct http_ask {
	const char *url;
	const char *accept;
	const char *authorization;  /* the header's value, or NULL */
	const char *const *headers; /* more of them, "Name: value" */
	size_t headers_len;
	const char *if_range;       /* a validator, or NULL */
	uint64_t first;             /* bytes; 0: no range */
	uint64_t last;              /* inclusive; SIZE_UNKNOWN: open */
	const char *form;           /* POST this, application/x-www-form-urlencoded; NULL: GET */
	bool head;                  /* HEAD: there will be no body */
	enum guard_zone nearest;    /* connect to no address in a nearer zone, unless to a proxy */
	bool one_of_many;           /* a small buffer will do */
	bool fresh;                 /* on a new connection */
	const struct http_tls *tls; /* NULL: the system's authorities */
	uint64_t connect_timeout_ms;
	struct patience patience; /* with the server, once the request is out; paused time does not count */
	uint64_t timeout_ms;      /* for all of it, 0: no limit */
};

/* Borrows the loop. 0 or -ENOMEM. Once in a process. */
int http_new(struct loop *loop, struct http **ret_http);

/*
 * Use nothing for new requests that was learned from earlier ones: connections, TLS sessions, certificate authorities, addresses
 * of names. Running exchanges continue. 0, or -ENOMEM: nothing is forgotten.
 */
int http_forget(struct http *h);

/* All exchanges are over or cancelled before. NULL is fine. */
void http_free(struct http *h);

/* Begin. The texts of `ask` are borrowed for the call, hooks and self until `done`. 0 or -ENOMEM. */
int http_start(struct http *h, const struct http_ask *ask, const struct http_hooks *hooks, void *self,
	       struct exchange **ret_exchange);

/* After BODY_PAUSE. Not from within a hook. */
void http_resume(struct exchange *x);

/* End it without `done`. Not from within a hook of this exchange. */
void http_cancel(struct exchange *x);

/*
 * In which zone the server is that the request went to. Behind a proxy that is as much as its host in the URL says. From
 * `head` on.
 */
enum guard_zone http_peer_zone(const struct exchange *x);

/* Whether the connection stands and the request is on its way or answered. */
bool http_is_connected(const struct exchange *x);

#endif
