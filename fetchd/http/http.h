/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP exchanges with libcurl's multi interface on our loop: one request, one response, no decisions. Redirects,
 * credentials, ranges and retries are up to the caller. This header is a seam: it names no library, and a program may
 * be linked with another implementation. Only http.c makes requests with libcurl; pool.c runs them on our loop, url.c
 * uses its URL parser, curl_error.c interprets its errors.
 *
 * HTTP/1.1 only: pausing HTTP/2 streams has had many bugs around libcurl 7.88. No content encoding is requested,
 * because offsets count the bytes of the stored content.
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
	BODY_DROPPED, /* accepted but unwanted: does not count as progress */
	BODY_PAUSE,   /* nothing was accepted: offer it again after http_resume() */
	BODY_STOP,    /* end the exchange */
};

/* Called from the loop; `body` also from within http_resume(). */
struct http_hooks {
	/* The header is complete. False: stop. Not called for a header that is refused. */
	bool (*head)(void *self, const struct response *r);
	/* Bytes of the body, at most 16 KiB at a time; borrowed for the call. */
	enum body_answer (*body)(void *self, const void *data, size_t len);
	/*
	 * The exchange is over and freed. `error` is the errno of a failed connection, or 0; `why` explains every end
	 * except HTTP_WHOLE and HTTP_STOPPED.
	 */
	void (*done)(void *self, enum http_end end, int error, const struct reason *why);
};

/* TLS settings for a host. */
struct http_tls {
	const char *ca_file;     /* PEM; NULL: the system's authorities, or those of SSL_CERT_FILE and SSL_CERT_DIR */
	const char *ca_besides;  /* without ca_file: PEM text of authorities in addition to the system's; or NULL */
	const char *client_cert; /* PEM, or NULL */
	const char *client_key;  /* PEM; NULL: it is in client_cert */
	const char *client_cert_text, *client_key_text; /* without client_cert: both as PEM text; or NULL */
	bool skip_verify;                               /* accept any certificate */
	const char *trouble; /* why a certificate cannot be used, reported if TLS fails; lives as long as the process */
};

struct http_ask {
	const char *url;
	const char *accept;
	const char *authorization;  /* the header's value, or NULL */
	const char *const *headers; /* additional ones, "Name: value" */
	size_t headers_len;
	const char *if_range;       /* a validator, or NULL */
	uint64_t first;             /* bytes; 0: no range */
	uint64_t last;              /* inclusive; SIZE_UNKNOWN: open */
	const char *form;           /* POST this, application/x-www-form-urlencoded; NULL: GET */
	bool head;                  /* HEAD: no body follows */
	enum guard_zone nearest;    /* do not connect to an address in a nearer zone, except a proxy's */
	bool one_of_many;           /* use a small buffer */
	bool fresh;                 /* use a new connection */
	uint64_t lane;              /* share connections and TLS sessions only with requests of this number */
	const struct http_tls *tls; /* NULL: the system's authorities */
	uint64_t connect_timeout_ms;
	struct patience patience; /* with the server, once the request is sent; paused time does not count */
	uint64_t timeout_ms;      /* for all of it, 0: no limit */
};

/* Borrows the loop. 0 or -ENOMEM. Once per process. */
int http_new(struct loop *loop, struct http **ret_http);

/*
 * Forget what earlier requests left, for new ones: connections, TLS sessions, certificate authorities, resolved names.
 * Running exchanges continue. 0, or -ENOMEM: nothing is forgotten.
 */
int http_forget(struct http *h);

/* No more requests of this lane, which is not 0: forget what they left. Running ones continue. */
void http_leave(struct http *h, uint64_t lane);

/* All exchanges must be over or cancelled. NULL is fine. */
void http_free(struct http *h);

/* Start. The texts of `ask` are borrowed for the call, hooks and self until `done`. 0 or -ENOMEM. */
int http_start(struct http *h, const struct http_ask *ask, const struct http_hooks *hooks, void *self,
	       struct exchange **ret_exchange);

/* After BODY_PAUSE. Not from within a hook. */
void http_resume(struct exchange *x);

/* End it without `done`. Not from within a hook of this exchange. */
void http_cancel(struct exchange *x);

/*
 * The zone of the server to which the request was sent. Through a proxy, this is only what the host in the URL tells.
 * Valid from `head` on.
 */
enum guard_zone http_peer_zone(const struct exchange *x);

/* The time from sending the request to the end of the answer's header. Valid from `head` on. */
uint64_t http_answer_ms(const struct exchange *x);

/* Whether there is a connection, with the request being sent or answered. */
bool http_is_connected(const struct exchange *x);

#endif
