/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/http.h"

/* System */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/queue.h>

/* Base */
#include "common/base/buf.h"
#include "common/base/clock.h"
#include "common/base/loop.h"
#include "common/base/version.h"

/* Own */
#include "fetchd/http/curl_error.h"
#include "fetchd/http/pool.h"
#include "fetchd/http/proxy.h"
#include "fetchd/http/wiping.h"

#define RECEIVE_BUFFER       (128 * 1024L) /* bytes, for each running exchange; up to twice that while it is paused */
#define SMALL_RECEIVE_BUFFER (32 * 1024L)
#define SPARE_EXCHANGES      8 /* kept for reuse: each has a curl handle */

/* The pool for new requests of one number. */
struct lane {
	SLIST_ENTRY(lane) link;
	uint64_t number;
	struct pool *pool;
};

struct http {
	struct loop *loop;
	struct pool *pool; /* for new requests of lane 0 */
	SLIST_HEAD(, lane) lanes;
	SLIST_HEAD(, exchange) spare;
	unsigned spare_len;
};

struct exchange {
	struct http *http;
	struct pool *pool; /* where it runs, else NULL */
	CURL *easy;
	struct curl_slist *headers;
	const struct http_hooks *hooks;
	void *self;
	struct response response;
	struct loop_timer stall;
	struct patience patience;
	uint64_t sent_ms, answer_ms; /* monotonic: when the request was sent; how long its answer took */
	bool connected;
	bool paused;
	bool refused;              /* the head is */
	bool stopped;              /* requested by a hook */
	bool lost;                 /* bytes were lost, in a resume that failed */
	enum guard_zone nearest;   /* that is allowed */
	enum guard_zone held;      /* an address in this zone was refused; ZONE_PUBLIC: none was */
	enum guard_zone host_zone; /* of the host in the URL */
	bool proxied;
	const char *trouble;                       /* a certificate that cannot be used, or NULL */
	char peer[INET6_ADDRSTRLEN + IF_NAMESIZE]; /* the address that it is connected to */
	char error[CURL_ERROR_SIZE];
	struct buf form;            /* the body of a POST; wiped: it may be a password */
	SLIST_ENTRY(exchange) link; /* in the list of spare ones */
};

/* curl calls this with complete lines, including those of trailers and interim answers. */
static size_t on_header(char *data, size_t one, size_t len, void *self)
{
	struct exchange *x = self;
	(void)one;
	switch (response_line(&x->response, span_of(data, len))) {
	case RESPONSE_MORE:
		patience_noise(&x->patience);
		return len;
	case RESPONSE_WHOLE:
		patience_bytes(&x->patience, x->response.bytes, clock_mono_ms());
		x->answer_ms = clock_mono_ms() - x->sent_ms;
		x->stopped = !x->hooks->head(x->self, &x->response);
		return x->stopped ? 0 : len;
	case RESPONSE_REFUSED:
		break;
	}
	x->refused = true;
	return 0;
}

static size_t on_body(char *data, size_t one, size_t len, void *self)
{
	struct exchange *x = self;
	(void)one;
	if (x->stopped || x->lost)
		return 0;
	enum body_answer answer = x->hooks->body(x->self, data, len);
	if (answer == BODY_DROPPED)
		patience_noise(&x->patience);
	else /* after the hook: a write to a slow stdout is not a stall */
		patience_bytes(&x->patience, len, clock_mono_ms());
	x->paused = answer == BODY_PAUSE;
	x->stopped = answer == BODY_STOP;
	return x->paused ? CURL_WRITEFUNC_PAUSE : x->stopped ? 0 : len;
}

static bool is_guarded(const struct exchange *x)
{
	return x->nearest != ZONE_ANY && !x->proxied; /* the user chose the proxy */
}

static bool is_held(struct exchange *x, enum guard_zone zone)
{
	if (zone >= x->nearest)
		return false;
	x->held = zone;
	return true;
}

/* Like libcurl's own, but with the guard and close-on-exec. */
static curl_socket_t open_socket(void *self, curlsocktype purpose, struct curl_sockaddr *to)
{
	struct exchange *x = self;
	(void)purpose;
	if (is_guarded(x) && is_held(x, guard_zone(&to->addr)))
		return CURL_SOCKET_BAD;
	return socket(to->family, to->socktype | SOCK_CLOEXEC, to->protocol);
}

/* Check the guard again: a reused connection may have been opened without one. */
static int on_request(void *self, char *peer_ip, char *own_ip, int peer_port, int own_port)
{
	struct exchange *x = self;
	(void)own_ip;
	(void)peer_port;
	(void)own_port;
	(void)snprintf(x->peer, sizeof(x->peer), "%s", peer_ip);
	if (is_guarded(x) && is_held(x, guard_ip_zone(peer_ip)))
		return CURL_PREREQFUNC_ABORT;
	x->connected = true;
	x->sent_ms = clock_mono_ms();
	patience_ask(&x->patience, x->sent_ms);
	return CURL_PREREQFUNC_OK;
}

static enum http_end end_of(const struct exchange *x, CURLcode code, int *ret_error, struct reason *ret_why)
{
	long os = 0, connects = 1;
	(void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &os);
	(void)curl_easy_getinfo(x->easy, CURLINFO_NUM_CONNECTS, &connects);
	const struct curl_end over = {code, x->error, (int)os, x->connected, x->proxied, &x->response};
	enum http_end end = curl_error_end(&over, ret_why);
	*ret_error = curl_error_errno(&over);
	bool unanswered =
	    end == HTTP_BROKEN_OFF && x->response.lines == 0; /* as a server ends TLS 1.3 without a certificate */
	if (x->trouble && (end == HTTP_NO_TLS || unanswered))
		reason_set(ret_why, "TLS: %s", x->trouble);
	if (x->stopped)
		return HTTP_STOPPED;
	if (end == HTTP_REFUSED && connects == 0 && x->response.lines == 0)
		return HTTP_BROKEN_OFF; /* no answer on a reused connection: the server had closed it */
	if (x->refused)
		reason_set(ret_why, "%s", x->response.why.text);
	else if (x->held != ZONE_PUBLIC && (end == HTTP_NO_CONNECTION || code == CURLE_ABORTED_BY_CALLBACK))
		reason_set(ret_why, "a server named an address of %s, which is refused%s", guard_zone_text(x->held),
			   guard_zone_hint(x->held));
	else
		return end;
	return HTTP_REFUSED;
}

static void drop_request(struct exchange *x)
{
	for (struct curl_slist *line = x->headers; line; line = line->next)
		explicit_bzero(line->data, strlen(line->data)); /* one of them may be a password */
	curl_slist_free_all(x->headers);
	x->headers = NULL;
	buf_wipe(&x->form);
}

static void exchange_free(struct exchange *x)
{
	drop_request(x);
	curl_easy_cleanup(x->easy);
	free(x);
}

/*
 * Remove it from the pool and keep it as a spare, unless it never had a connection: libcurl 8.14 leaks the name that did
 * not resolve when its handle is used again.
 */
static void retire(struct exchange *x)
{
	struct http *h = x->http;
	bool is_old = x->pool && x->pool != h->pool;
	loop_timer_stop(&x->stall);
	if (x->pool)
		pool_remove(x->pool, x->easy);
	x->pool = NULL;
	(void)curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
	(void)curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, NULL);
	drop_request(x);
	if (is_old || !x->connected || h->spare_len >= SPARE_EXCHANGES) {
		exchange_free(x);
		return;
	}
	SLIST_INSERT_HEAD(&h->spare, x, link);
	h->spare_len++;
}

static void finish(struct exchange *x, enum http_end end, int error, const struct reason *why)
{
	const struct http_hooks *hooks = x->hooks;
	void *self = x->self;
	retire(x);
	hooks->done(self, end, error, why);
}

static void on_ended(CURL *easy, CURLcode code)
{
	struct exchange *x = NULL;
	struct reason why;
	int error;
	(void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, (char **)&x);
	enum http_end end = end_of(x, code, &error, &why);
	finish(x, end, error, &why);
}

/* Not restarted with every byte: when it fires it checks the age of the last one. curl handles the time to connect. */
static void on_stall(void *self)
{
	struct exchange *x = self;
	struct reason why = {"out of memory"};
	uint64_t due_ms = patience_first_look(&x->patience);
	if (x->stopped || x->lost) {
		finish(x, x->stopped ? HTTP_STOPPED : HTTP_FAILED, 0, &why);
		return;
	}
	if (x->connected && !x->paused && patience_is_over(&x->patience, clock_mono_ms(), &due_ms, &why))
		finish(x, HTTP_STALLED, 0, &why);
	else
		loop_timer_set(&x->stall, due_ms);
}

/* Options that are the same for all requests. */
static void set_up(struct exchange *x)
{
	CURL *e = x->easy;
	(void)curl_easy_setopt(e, CURLOPT_PRIVATE, x);
	(void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->error);
	(void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	(void)curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
	(void)curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_request);
	(void)curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, open_socket);
	(void)curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x);
	(void)curl_easy_setopt(e, CURLOPT_USERAGENT, "sluice/" SLUICE_VERSION);
	(void)curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(e, CURLOPT_PROXY_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	(void)curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	(void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	(void)curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	(void)curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	(void)curl_easy_setopt(e, CURLOPT_HEADEROPT, (long)CURLHEADER_SEPARATE); /* no Authorization to a proxy */
	(void)curl_easy_setopt(e, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
	(void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* do not wait for a resolver that hangs */
	(void)curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
}

/* A spare handle may keep TLS sessions, which are for lane 0. */
static struct exchange *exchange_take(struct http *h, bool is_spare_fine)
{
	struct exchange *x = is_spare_fine ? SLIST_FIRST(&h->spare) : NULL;
	if (x) {
		SLIST_REMOVE_HEAD(&h->spare, link);
		h->spare_len--;
		return x;
	}
	x = calloc(1, sizeof(*x));
	if (!x)
		return NULL;
	x->http = h;
	x->easy = curl_easy_init();
	if (!x->easy) {
		free(x);
		return NULL;
	}
	loop_timer_init(&x->stall, h->loop, on_stall, x);
	set_up(x);
	return x;
}

/* The value may be a password, so no copy is left behind. */
static int add_header(struct exchange *x, const char *name, const char *value)
{
	struct buf line = BUF_INIT;
	int r = buf_reserve(&line, strlen(name) + strlen(value));
	if (r == 0)
		r = buf_appendf(&line, "%s%s", name, value);
	struct curl_slist *longer = r < 0 ? NULL : curl_slist_append(x->headers, line.data);
	buf_wipe(&line);
	if (!longer)
		return -ENOMEM;
	x->headers = longer;
	return 0;
}

static int add_range(struct exchange *x, const struct http_ask *ask)
{
	char range[sizeof("bytes=-") + 2 * 20];
	int len = snprintf(range, sizeof(range), "bytes=%" PRIu64 "-", ask->first);
	if (ask->last != SIZE_UNKNOWN)
		(void)snprintf(range + len, sizeof(range) - (size_t)len, "%" PRIu64, ask->last);
	return add_header(x, "Range: ", range);
}

static int add_headers(struct exchange *x, const struct http_ask *ask)
{
	int r = add_header(x, "Accept: ", ask->accept);
	if (r == 0 && ask->first > 0)
		r = add_range(x, ask);
	if (r == 0 && ask->if_range)
		r = add_header(x, "If-Range: ", ask->if_range);
	if (r == 0 && ask->authorization)
		r = add_header(x, "Authorization: ", ask->authorization);
	for (size_t i = 0; i < ask->headers_len && r == 0; i++)
		r = add_header(x, "", ask->headers[i]);
	return r;
}

/* Where the system's authorities are; as for OpenSSL, curl and Go, the environment may name other places. */
static const char *system_place(const char *variable, const char *built)
{
	const char *said = getenv(variable);
	return said && said[0] != '\0' ? said : built;
}

/* NULL for no text. libcurl copies it. */
static struct curl_blob *blob_of(const char *text, struct curl_blob *ret_blob)
{
	if (!text)
		return NULL;
	*ret_blob = (struct curl_blob){.data = (char *)text, .len = strlen(text), .flags = CURL_BLOB_COPY};
	return ret_blob;
}

/* Handles are reused, so every option is set for every request. */
static bool set_tls(CURL *e, const struct http_tls *tls)
{
	static const struct http_tls none;
	const curl_version_info_data *built = curl_version_info(CURLVERSION_NOW);
	const struct http_tls *t = tls ? tls : &none;
	struct curl_blob text, cert, key;
	const char *file = t->ca_file ? t->ca_file : system_place("SSL_CERT_FILE", built->cainfo);
	const char *directory = t->ca_file ? NULL : system_place("SSL_CERT_DIR", built->capath);
	const char *cert_text = t->client_cert ? NULL : t->client_cert_text;
	const char *key_text = t->client_cert ? NULL : t->client_key_text;
	return curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, blob_of(t->ca_file ? NULL : t->ca_besides, &text)) ==
		   CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLCERT_BLOB, blob_of(cert_text, &cert)) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLKEY_BLOB, blob_of(key_text, &key)) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAINFO, file) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CAPATH, directory) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLCERT, t->client_cert) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSLKEY, t->client_key ? t->client_key : t->client_cert) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, t->skip_verify ? 0L : 1L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, t->skip_verify ? 0L : 2L) == CURLE_OK;
}

/* GET resets HEAD, for which a reused handle may be set; POST has to reset it explicitly. */
static bool set_method(struct exchange *x, const char *form, bool head)
{
	if (!form)
		return curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
		       (!head || curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L) == CURLE_OK);
	return curl_easy_setopt(x->easy, CURLOPT_NOBODY, 0L) == CURLE_OK && buf_append_str(&x->form, form) == 0 &&
	       curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE, (long)x->form.len) == CURLE_OK &&
	       curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, x->form.data) == CURLE_OK;
}

/* Empty strings for no proxy and no exceptions, so that libcurl does not use the environment. */
static bool set_proxy(struct exchange *x, const char *url)
{
	struct origin to;
	if (origin_of(url, &to, NULL) < 0)
		return false;
	const char *proxy = proxy_of(&to);
	x->proxied = proxy;
	x->host_zone = proxy ? guard_host_zone(to.host) : ZONE_PUBLIC;
	return curl_easy_setopt(x->easy, CURLOPT_PROXY, proxy ? proxy : "") == CURLE_OK &&
	       curl_easy_setopt(x->easy, CURLOPT_NOPROXY, "") == CURLE_OK;
}

static bool set_request(struct exchange *x, const struct http_ask *ask)
{
	CURL *e = x->easy;
	x->nearest = ask->nearest;
	/* curl refuses this while it still holds a buffer from a failed try, which is fine. */
	(void)curl_easy_setopt(e, CURLOPT_BUFFERSIZE, ask->one_of_many ? SMALL_RECEIVE_BUFFER : RECEIVE_BUFFER);
	return add_headers(x, ask) == 0 && set_method(x, ask->form, ask->head) && set_tls(e, ask->tls) &&
	       set_proxy(x, ask->url) && curl_easy_setopt(e, CURLOPT_URL, ask->url) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, ask->fresh ? 1L : 0L) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)ask->timeout_ms) == CURLE_OK &&
	       curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)ask->connect_timeout_ms) == CURLE_OK;
}

/* NULL: out of memory. */
static struct pool *pool_of(struct http *h, uint64_t number)
{
	struct lane *l;
	if (number == 0)
		return h->pool;
	SLIST_FOREACH(l, &h->lanes, link)
		if (l->number == number)
			return l->pool;
	l = calloc(1, sizeof(*l));
	if (!l || pool_new(h->loop, on_ended, &l->pool) < 0) {
		free(l);
		return NULL;
	}
	l->number = number;
	SLIST_INSERT_HEAD(&h->lanes, l, link);
	return l->pool;
}

int http_start(struct http *h, const struct http_ask *ask, const struct http_hooks *hooks, void *self,
	       struct exchange **ret_exchange)
{
	struct pool *pool = pool_of(h, ask->lane);
	struct exchange *x = pool ? exchange_take(h, ask->lane == 0) : NULL;
	if (!x)
		return -ENOMEM;
	x->hooks = hooks;
	x->self = self;
	x->connected = x->paused = x->refused = x->stopped = x->lost = false;
	x->held = ZONE_PUBLIC;
	x->peer[0] = '\0';
	x->error[0] = '\0';
	x->patience = ask->patience;
	x->trouble = ask->tls && strncmp(ask->url, "https:", strlen("https:")) == 0 ? ask->tls->trouble : NULL;
	response_init(&x->response, clock_wall_s());
	if (!set_request(x, ask) || !pool_add(pool, x->easy)) {
		retire(x);
		return -ENOMEM;
	}
	x->pool = pool;
	loop_timer_set(&x->stall, patience_first_look(&x->patience));
	*ret_exchange = x;
	return 0;
}

void http_resume(struct exchange *x)
{
	if (!x->paused)
		return;
	x->paused = false;
	patience_begin(&x->patience, clock_mono_ms());
	if (curl_easy_pause(x->easy, CURLPAUSE_CONT) == CURLE_OK)
		return;
	/* curl has dropped bytes that it held and would continue after the gap: end the exchange, from the loop. */
	x->lost = true;
	loop_timer_set(&x->stall, 0);
}

void http_cancel(struct exchange *x)
{
	retire(x);
}

enum guard_zone http_peer_zone(const struct exchange *x)
{
	return x->proxied ? x->host_zone : guard_ip_zone(x->peer);
}

uint64_t http_answer_ms(const struct exchange *x)
{
	return x->answer_ms;
}

bool http_is_connected(const struct exchange *x)
{
	return x->connected;
}

int http_new(struct loop *loop, struct http **ret_http)
{
	struct http *h = calloc(1, sizeof(*h));
	if (!h)
		return -ENOMEM;
	h->loop = loop;
	(void)unsetenv("SSLKEYLOGFILE"); /* libcurl would write the TLS keys there */
	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, wiping_free, wiping_realloc, strdup, calloc) !=
		CURLE_OK ||
	    pool_new(loop, on_ended, &h->pool) < 0) {
		free(h);
		return -ENOMEM;
	}
	*ret_http = h;
	return 0;
}

static void free_spare(struct http *h)
{
	struct exchange *x;
	while ((x = SLIST_FIRST(&h->spare))) {
		SLIST_REMOVE_HEAD(&h->spare, link);
		exchange_free(x);
	}
	h->spare_len = 0;
}

static void lane_free(struct lane *l)
{
	pool_retire(l->pool);
	free(l);
}

static void free_lanes(struct http *h)
{
	struct lane *l;
	while ((l = SLIST_FIRST(&h->lanes))) {
		SLIST_REMOVE_HEAD(&h->lanes, link);
		lane_free(l);
	}
}

void http_leave(struct http *h, uint64_t lane)
{
	struct lane *l;
	SLIST_FOREACH(l, &h->lanes, link)
		if (l->number == lane)
			break;
	if (!l)
		return;
	SLIST_REMOVE(&h->lanes, l, lane, link);
	lane_free(l);
}

/* TLS sessions are kept in the spare handles or in the pool, depending on the version of libcurl. */
int http_forget(struct http *h)
{
	struct pool *fresh;
	int r = pool_new(h->loop, on_ended, &fresh);
	if (r < 0)
		return r;
	free_spare(h);
	free_lanes(h);
	pool_retire(h->pool);
	h->pool = fresh;
	return 0;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	free_spare(h);
	free_lanes(h);
	pool_retire(h->pool);
	curl_global_cleanup();
	free(h);
}
