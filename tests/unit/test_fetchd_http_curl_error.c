/* SPDX-License-Identifier: Apache-2.0 */
/* Failures of an exchange: how each is recognised and reported. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http/curl_error.h"

/* The progress of the exchange. */
enum stage {
	NOT_SENT,
	NO_ANSWER,
	HEAD_BEGUN,
	SIZED, /* the header is complete, and the body has a length */
	CHUNKED,
	UNTIL_CLOSE,
};

static const char *const answers[] = {
    [HEAD_BEGUN] = "HTTP/1.1 200 OK\r\n",
    [SIZED] = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n",
    [CHUNKED] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
    [UNTIL_CLOSE] = "HTTP/1.1 200 OK\r\n\r\n",
};

static void feed(struct response *r, const char *head)
{
	response_init(r, 1700000000);
	for (size_t len; head && *head; head += len) {
		len = strcspn(head, "\n") + 1;
		(void)response_line(r, span_of(head, len));
	}
}

#define EOF_TEXT "OpenSSL SSL_read: error:0A000126:SSL routines::unexpected eof while reading, errno 0"
#define TOO_LONG "a header line is too long"

/* Texts of libcurl 7.88 and OpenSSL 3.0, unless a row names another version. */
static const struct {
	CURLcode code;
	const char *text;
	int os_error;
	enum stage stage;
	enum http_end want;
	const char *said; /* in the reason */
} endings[] = {
    {CURLE_OK, "", 0, SIZED, HTTP_WHOLE, ""},
    {CURLE_COULDNT_RESOLVE_HOST, "Could not resolve host: x", 0, NOT_SENT, HTTP_NO_ADDRESS, "resolver"},
    {CURLE_COULDNT_RESOLVE_PROXY, "Could not resolve proxy: x", 0, NOT_SENT, HTTP_NO_ADDRESS, "http_proxy"},
    {CURLE_COULDNT_CONNECT, "Unsupported proxy scheme for 'ftp://user:canary@a.io'", 0, NOT_SENT, HTTP_NO_CONNECTION,
     "check http_proxy"},
    {CURLE_COULDNT_CONNECT,
     "Unsupported proxy 'https://user:canary@a.io', libcurl is built without the HTTPS-proxy support.", 0, NOT_SENT,
     HTTP_NO_CONNECTION, "check http_proxy"},
    {CURLE_FAILED_INIT, "something about 'http://user:canary@a.io'", 0, NOT_SENT, HTTP_FAILED, "failed initialization"},
    {CURLE_COULDNT_CONNECT, "Failed to connect to a.io port 443 after 0 ms: Couldn't connect to server", ECONNREFUSED,
     NOT_SENT, HTTP_NO_CONNECTION, "connection refused (a.io port 443): nothing listens"},
    {CURLE_COULDNT_CONNECT, "Failed to connect to a.io port 443 after 0 ms: Couldn't connect to server", EHOSTUNREACH,
     NOT_SENT, HTTP_NO_CONNECTION, "no route to host (a.io port 443)"},
    {CURLE_COULDNT_CONNECT, "", ENETUNREACH, NOT_SENT, HTTP_NO_CONNECTION, "network is unreachable"},
    {CURLE_OPERATION_TIMEDOUT, "Connection timed out after 100 milliseconds", 0, NOT_SENT, HTTP_NO_CONNECTION,
     "firewall"},
    {CURLE_OPERATION_TIMEDOUT, "Operation timed out", 0, NO_ANSWER, HTTP_STALLED, "too long"},
    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate has expired", 0, NOT_SENT, HTTP_NO_TLS,
     "TLS: the certificate has expired"},
    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate is not yet valid", 0, NOT_SENT, HTTP_NO_TLS,
     "clock"},
    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: self-signed certificate in certificate chain", 0,
     NOT_SENT, HTTP_NO_TLS, "signed by an unknown CA"},
    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: unable to get local issuer certificate", 0, NOT_SENT,
     HTTP_NO_TLS, "ca_file"},
    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: self-signed certificate", 0, NOT_SENT, HTTP_NO_TLS,
     "self-signed"},
    {CURLE_PEER_FAILED_VERIFICATION, "SSL: no alternative certificate subject name matches target host name 'a.io'", 0,
     NOT_SENT, HTTP_NO_TLS, "for another host"},
    {CURLE_SSL_CONNECT_ERROR, "error:0A00010B:SSL routines::wrong version number", 0, NOT_SENT, HTTP_NO_TLS,
     "plain_http"},
    {CURLE_RECV_ERROR, "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required", 0, true,
     HTTP_NO_TLS, "client_cert"},
    {CURLE_SSL_CONNECT_ERROR, "OpenSSL SSL_connect: something else", 0, NOT_SENT, HTTP_NO_TLS,
     "TLS: OpenSSL SSL_connect: something else"},
    {CURLE_RECV_ERROR, "Recv failure: Connection reset by peer", 0, NO_ANSWER, HTTP_BROKEN_OFF,
     "connection reset by peer"},
    {CURLE_SEND_ERROR, "Send failure: Broken pipe", 0, NO_ANSWER, HTTP_BROKEN_OFF, "broken pipe"},
    {CURLE_GOT_NOTHING, "Empty reply from server", 0, NO_ANSWER, HTTP_BROKEN_OFF, "without an answer"},
    {CURLE_PARTIAL_FILE, "transfer closed with 5 bytes remaining", 0, SIZED, HTTP_BROKEN_OFF, "before the end"},
    {CURLE_RECV_ERROR, "CONNECT tunnel failed, response 407", 0, NOT_SENT, HTTP_DENIED, "407"},
    {CURLE_RECV_ERROR, "CONNECT tunnel failed, response 502", 0, NOT_SENT, HTTP_NO_CONNECTION, "proxy"},
    {CURLE_OUT_OF_MEMORY, "", 0, NOT_SENT, HTTP_FAILED, "memory"},
    /* The same answers in both versions. */
    {CURLE_RECV_ERROR, "Illegal or missing hexadecimal sequence in chunked-encoding", 0, CHUNKED, HTTP_REFUSED,
     "chunks"},
    {CURLE_RECV_ERROR, "chunk hex-length char not a hex digit: 0x7a", 0, CHUNKED, HTTP_REFUSED, "chunks"}, /* 8.14 */
    {CURLE_RECV_ERROR, "chunk hex-length longer than 16", 0, CHUNKED, HTTP_REFUSED, "chunks"},             /* 8.14 */
    {CURLE_RECV_ERROR, "invalid chunk size: 'fffffffffffffff0'", 0, CHUNKED, HTTP_REFUSED, "chunks"},      /* 8.14 */
    {CURLE_RECV_ERROR, "Out of memory in chunked-encoding", 0, CHUNKED, HTTP_REFUSED, "chunks"},
    {(CURLcode)100, "out of memory in chunked-encoding", 0, CHUNKED, HTTP_REFUSED, "chunks"}, /* 8.14 */
    {CURLE_RECV_ERROR, "Recv failure: Connection reset by peer", ECONNRESET, CHUNKED, HTTP_BROKEN_OFF,
     "connection reset by peer"},
    {CURLE_BAD_CONTENT_ENCODING, "Unsolicited Transfer-Encoding (gzip) found", 0, HEAD_BEGUN, HTTP_REFUSED,
     "encoded the content"},                                          /* 8.14 */
    {CURLE_OUT_OF_MEMORY, "", 0, HEAD_BEGUN, HTTP_REFUSED, TOO_LONG}, /* 7.88 */
    {CURLE_OUT_OF_MEMORY, "", 0, SIZED, HTTP_FAILED, "memory"},
    {(CURLcode)100, "A value or data field grew larger than allowed", 0, HEAD_BEGUN, HTTP_REFUSED, TOO_LONG}, /* 8.14 */
    {CURLE_OK, "", 0, UNTIL_CLOSE, HTTP_WHOLE, ""},                                                           /* 7.88 */
    {CURLE_RECV_ERROR, EOF_TEXT, 0, UNTIL_CLOSE, HTTP_WHOLE, ""},                                             /* 8.14 */
    {CURLE_RECV_ERROR, EOF_TEXT, 0, SIZED, HTTP_BROKEN_OFF, "before the end of the body"},                    /* 8.14 */
    {CURLE_RECV_ERROR, EOF_TEXT, 0, CHUNKED, HTTP_BROKEN_OFF, "before the end of the body"},                  /* 8.14 */
    {CURLE_RECV_ERROR, EOF_TEXT, 0, HEAD_BEGUN, HTTP_BROKEN_OFF, "before the end of the header"},             /* 8.14 */
    {CURLE_RECV_ERROR, EOF_TEXT, 0, NO_ANSWER, HTTP_BROKEN_OFF, "without an answer"},                         /* 8.14 */
};

static void test_ends(void **state)
{
	struct response answer;
	(void)state;
	for (size_t i = 0; i < LEN(endings); i++) {
		const struct curl_end over = {
		    endings[i].code, endings[i].text, endings[i].os_error, endings[i].stage != NOT_SENT,
		    false,           &answer};
		struct reason why = {""};
		feed(&answer, answers[endings[i].stage]);
		enum http_end end = curl_error_end(&over, &why);
		if (end != endings[i].want || !strstr(why.text, endings[i].said) || strstr(why.text, "canary"))
			fail_msg("'%s' (%d) is %d: %s", endings[i].text, endings[i].code, end, why.text);
	}
}

static void test_errno_of_connections(void **state)
{
	(void)state;
	assert_int_equal(curl_error_errno(&(struct curl_end){.code = CURLE_COULDNT_CONNECT, .os_error = ECONNREFUSED}),
			 ECONNREFUSED);
	assert_int_equal(curl_error_errno(&(struct curl_end){.code = CURLE_RECV_ERROR, .os_error = ECONNRESET}),
			 ECONNRESET);
	assert_int_equal(curl_error_errno(&(struct curl_end){.code = CURLE_SEND_ERROR, .os_error = EPIPE}), EPIPE);
	assert_int_equal(curl_error_errno(&(struct curl_end){.code = CURLE_RECV_ERROR, .os_error = 0}), 0);
	assert_int_equal(curl_error_errno(&(struct curl_end){.code = CURLE_PARTIAL_FILE, .os_error = ECONNREFUSED}), 0);
	assert_int_equal(curl_error_errno(&(struct curl_end){.code = CURLE_OK, .os_error = ECONNREFUSED}), 0);
}

/* It is not the server that cannot be reached. */
static void test_proxy_that_cannot_be_reached(void **state)
{
	struct response answer;
	struct reason why = {""};
	const struct curl_end over = {CURLE_COULDNT_CONNECT,
				      "Failed to connect to p.io port 3128 after 0 ms: x",
				      ECONNREFUSED,
				      false,
				      true,
				      &answer};
	(void)state;
	feed(&answer, answers[NOT_SENT]);
	assert_int_equal(curl_error_end(&over, &why), HTTP_NO_CONNECTION);
	assert_string_equal(why.text, "no connection to the proxy: connection refused (p.io port 3128): check "
				      "http_proxy and https_proxy in the environment");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_proxy_that_cannot_be_reached),
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_errno_of_connections),
	};
	return cmocka_run_group_tests_name("fetchd http curl_error", tests, NULL, NULL);
}
