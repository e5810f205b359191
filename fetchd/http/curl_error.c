/* SPDX-License-Identifier: Apache-2.0 */
#include "fetchd/http/curl_error.h"

/* System */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define UNKNOWN_AUTHORITY                                                                                              \
	"TLS: the certificate is signed by an unknown CA; to trust it set ca_file under [registry HOST] in "           \
	"sluice.conf"

/* A constant of libcurl's headers only since 8.6. */
#define TOO_LARGE ((CURLcode)100)

/* curl's code, its meaning, and the message; NULL: curl's own. */
static const struct {
	CURLcode code;
	enum http_end end;
	const char *text;
} ends[] = {
    {CURLE_OK, HTTP_WHOLE, ""},
    {CURLE_COULDNT_RESOLVE_HOST, HTTP_NO_ADDRESS,
     "the host name does not resolve: check its spelling and this machine's resolver"},
    {CURLE_COULDNT_RESOLVE_PROXY, HTTP_NO_ADDRESS,
     "the proxy's name does not resolve: check http_proxy and https_proxy in the environment"},
    {CURLE_COULDNT_CONNECT, HTTP_NO_CONNECTION, NULL},
    {CURLE_PROXY, HTTP_NO_CONNECTION, NULL},
    {CURLE_OPERATION_TIMEDOUT, HTTP_NO_CONNECTION,
     "connect_timeout expired: the host is down, or a firewall drops the packets"},
    {CURLE_SSL_CONNECT_ERROR, HTTP_NO_TLS, NULL},
    {CURLE_PEER_FAILED_VERIFICATION, HTTP_NO_TLS, NULL},
    {CURLE_SSL_CACERT_BADFILE, HTTP_NO_TLS, NULL},
    {CURLE_SSL_CERTPROBLEM, HTTP_NO_TLS, NULL},
    {CURLE_SSL_CIPHER, HTTP_NO_TLS, NULL},
    {CURLE_SSL_INVALIDCERTSTATUS, HTTP_NO_TLS, NULL},
    {CURLE_SSL_ISSUER_ERROR, HTTP_NO_TLS, NULL},
    {CURLE_SEND_ERROR, HTTP_BROKEN_OFF, NULL},
    {CURLE_RECV_ERROR, HTTP_BROKEN_OFF, NULL},
    {CURLE_GOT_NOTHING, HTTP_BROKEN_OFF, "the connection was closed without an answer"},
    {CURLE_PARTIAL_FILE, HTTP_BROKEN_OFF, "the connection was closed before the end of the body"},
    {CURLE_BAD_CONTENT_ENCODING, HTTP_REFUSED, /* since 8.7; before, the header fields tell */
     "the server encoded the content without being asked to"},
    {CURLE_WEIRD_SERVER_REPLY, HTTP_REFUSED, NULL},
    {CURLE_UNSUPPORTED_PROTOCOL, HTTP_REFUSED, "the answer is not HTTP/1.1"},
};

/* Errors for which libcurl and OpenSSL have only a text, no code. The first match counts. */
static const struct {
	const char *words;
	enum http_end end;
	const char *text;
} causes[] = {
    {"certificate has expired", HTTP_NO_TLS,
     "TLS: the certificate has expired: its owner must renew it, or this machine's clock is wrong"},
    {"certificate is not yet valid", HTTP_NO_TLS, "TLS: the certificate is not valid yet: check this machine's clock"},
    {"certificate in certificate chain", HTTP_NO_TLS, UNKNOWN_AUTHORITY},
    {"unable to get local issuer", HTTP_NO_TLS, UNKNOWN_AUTHORITY},
    {"self-signed certificate", HTTP_NO_TLS,
     "TLS: the certificate is self-signed; to trust it set ca_file under [registry HOST] in sluice.conf"},
    {"subject name", HTTP_NO_TLS, "TLS: the certificate is for another host: check the host name"},
    {"CA certificate blob", HTTP_NO_TLS, "TLS: certs.d has a *.crt for this host that is not a certificate in PEM"},
    {"alert certificate required", HTTP_NO_TLS,
     "TLS: the server requires a client certificate: set client_cert under [registry HOST] in sluice.conf"},
    {"wrong version number", HTTP_NO_TLS,
     "TLS: this port does not speak TLS; for plain HTTP set plain_http = yes under [registry HOST] in sluice.conf"},
    {"tunnel failed, response 407", HTTP_DENIED,
     "407 Proxy Authentication Required: set a valid user and password in https_proxy"},
    {"tunnel failed", HTTP_NO_CONNECTION, "the proxy in https_proxy refuses the connection"},
    {"nsupported proxy", HTTP_NO_CONNECTION,
     "a proxy's URL is not valid or not supported: check http_proxy and https_proxy in the environment"},
};

/* "Recv failure: Connection reset by peer" becomes "connection reset by peer"; "SSL ..." stays as it is. */
static void say_error(const char *prefix, const char *text, struct reason *ret_why)
{
	static const char *const noise[] = {"Recv failure: ", "Send failure: "};
	for (size_t i = 0; i < 2; i++)
		if (strncmp(text, noise[i], strlen(noise[i])) == 0)
			text += strlen(noise[i]);
	bool is_word = prefix[0] == '\0' && isupper((unsigned char)text[0]) && islower((unsigned char)text[1]);
	reason_set(ret_why, "%s%c%s", prefix, is_word ? tolower((unsigned char)text[0]) : text[0],
		   text[0] != '\0' ? text + 1 : "");
}

/* "Failed to connect to A port P after 0 ms: ...": A may be a proxy, and P a default port. */
static void say_no_connection(const char *text, int os_error, bool proxied, struct reason *ret_why)
{
	static const char begin[] = "Failed to connect to ";
	char at[64] = "";
	const char *end = strstr(text, " after ");
	if (strncmp(text, begin, strlen(begin)) == 0 && end)
		(void)snprintf(at, sizeof(at), " (%.*s)", (int)(end - text - (long)strlen(begin)),
			       text + strlen(begin));
	const char *error = strerror(os_error);
	reason_set(ret_why, "%s%c%s%s%s", proxied ? "no connection to the proxy: " : "",
		   tolower((unsigned char)error[0]), error + 1, at,
		   proxied                    ? ": check http_proxy and https_proxy in the environment"
		   : os_error == ECONNREFUSED ? ": nothing listens there, or a firewall blocks it"
					      : "");
}

static bool find_cause(const char *text, enum http_end *ret_end, struct reason *ret_why)
{
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (strstr(text, causes[i].words)) {
			*ret_end = causes[i].end;
			reason_set(ret_why, "%s", causes[i].text);
			return true;
		}
	return false;
}

static enum http_end broken_off(const struct response *answer, struct reason *ret_why)
{
	reason_set(ret_why, "the connection was closed %s",
		   answer->lines == 0 ? "without an answer"
		   : answer->whole    ? "before the end of the body"
				      : "before the end of the header");
	return HTTP_BROKEN_OFF;
}

/*
 * TLS that ends without a close_notify. For 7.88 this is a normal end, for 8.14 an error, even if the body is ended
 * only by the end of the connection. Only a digest can tell whether that was all of the body.
 */
static bool is_end_without_notify(const struct curl_end *c)
{
	return c->code == CURLE_RECV_ERROR && strstr(c->text, "unexpected eof");
}

static bool is_ended_by_close(const struct response *answer)
{
	return answer->whole && !answer->has_length && !answer->chunked;
}

/*
 * "... in chunked-encoding" (7.88), "chunk hex-length ..." and "invalid chunk size" (8.14). 8.14 has a separate code
 * for a trailer over its limit, but like 7.88 calls it "out of memory in chunked-encoding".
 */
static bool has_broken_chunks(const struct curl_end *c)
{
	return (c->code == CURLE_RECV_ERROR || c->code == TOO_LARGE) && c->answer->whole && c->answer->chunked &&
	       strstr(c->text, "chunk");
}

/* A line exceeds curl's own limit. Before 8.6 that had the same code as lack of memory. */
static bool has_endless_line(const struct curl_end *c)
{
	return (c->code == TOO_LARGE || c->code == CURLE_OUT_OF_MEMORY) && c->connected && !c->answer->whole;
}

/* Decide by what had happened, whatever curl's code and text are. False: these decide. */
static bool find_event(const struct curl_end *c, enum http_end *ret_end, struct reason *ret_why)
{
	const char *words = NULL;
	if (c->code == CURLE_OPERATION_TIMEDOUT && c->connected) {
		*ret_end = HTTP_STALLED;
		words = "the answer took too long";
	} else if (has_endless_line(c)) {
		*ret_end = HTTP_REFUSED;
		words = "a header line is too long";
	} else if (has_broken_chunks(c)) {
		*ret_end = HTTP_REFUSED;
		words = "the chunks of the body are malformed";
	} else if (c->connected && is_end_without_notify(c)) {
		*ret_end = is_ended_by_close(c->answer) ? HTTP_WHOLE : broken_off(c->answer, ret_why);
		return true;
	}
	if (words)
		reason_set(ret_why, "%s", words);
	return words;
}

enum http_end curl_error_end(const struct curl_end *c, struct reason *ret_why)
{
	enum http_end end = HTTP_FAILED;
	const char *words = NULL;
	if (find_event(c, &end, ret_why))
		return end;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends[i].code == c->code) {
			end = ends[i].end;
			words = ends[i].text;
		}
	if (c->code == CURLE_COULDNT_CONNECT && c->os_error != 0) {
		say_no_connection(c->text, c->os_error, c->proxied, ret_why);
		return end;
	}
	if (!words && find_cause(c->text, &end, ret_why))
		return end;
	if (!words) /* a URL may contain a password */
		words = c->text[0] != '\0' && !strstr(c->text, "://") ? c->text : curl_easy_strerror(c->code);
	say_error(end == HTTP_NO_TLS ? "TLS: " : "", words, ret_why);
	return end;
}

/* curl also remembers the errno of an address that it abandoned, although another one answered. */
int curl_error_errno(const struct curl_end *c)
{
	bool counts = c->code == CURLE_COULDNT_CONNECT || c->code == CURLE_SEND_ERROR || c->code == CURLE_RECV_ERROR;
	return counts ? c->os_error : 0;
}
