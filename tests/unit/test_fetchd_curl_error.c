/* How each failure of an exchange is told apart, and told. */

/* Own */
#include "tests/unit/unit.h"

/* The code under test */
#include "fetchd/http_end.h"

static void test_ends(void **state)
{
	static const struct {
		CURLcode code;
		const char *text; /* libcurl 7.88's and OpenSSL 3.0's own */
		int os_error;
		bool connected;
		enum http_end want;
		const char *said; /* in the reason */
	} rows[] = {
	    {CURLE_OK, "", 0, true, HTTP_WHOLE, ""},
	    {CURLE_COULDNT_RESOLVE_HOST, "Could not resolve host: x", 0, false, HTTP_NO_ADDRESS, "resolver"},
	    {CURLE_COULDNT_RESOLVE_PROXY, "Could not resolve proxy: x", 0, false, HTTP_NO_ADDRESS, "http_proxy"},
	    {CURLE_COULDNT_CONNECT, "Failed to connect to a.io port 443 after 0 ms: Couldn't connect to server",
	     ECONNREFUSED, false, HTTP_NO_CONNECTION, "connection refused (a.io port 443): nothing listens"},
	    {CURLE_COULDNT_CONNECT, "Failed to connect to a.io port 443 after 0 ms: Couldn't connect to server",
	     EHOSTUNREACH, false, HTTP_NO_CONNECTION, "no route to host (a.io port 443)"},
	    {CURLE_COULDNT_CONNECT, "", ENETUNREACH, false, HTTP_NO_CONNECTION, "network is unreachable"},
	    {CURLE_OPERATION_TIMEDOUT, "Connection timed out after 100 milliseconds", 0, false, HTTP_NO_CONNECTION,
	     "firewall"},
	    {CURLE_OPERATION_TIMEDOUT, "Operation timed out", 0, true, HTTP_STALLED, "not complete"},
	    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate has expired", 0, false, HTTP_NO_TLS,
	     "TLS: the certificate has expired"},
	    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate is not yet valid", 0, false,
	     HTTP_NO_TLS, "clock"},
	    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: self-signed certificate in certificate chain", 0,
	     false, HTTP_NO_TLS, "authority that this machine does not trust"},
	    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: unable to get local issuer certificate", 0,
	     false, HTTP_NO_TLS, "ca_file"},
	    {CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: self-signed certificate", 0, false, HTTP_NO_TLS,
	     "self-signed"},
	    {CURLE_PEER_FAILED_VERIFICATION,
	     "SSL: no alternative certificate subject name matches target host name 'a.io'", 0, false, HTTP_NO_TLS,
	     "for another host"},
	    {CURLE_SSL_CONNECT_ERROR, "error:0A00010B:SSL routines::wrong version number", 0, false, HTTP_NO_TLS,
	     "plain_http"},
	    {CURLE_RECV_ERROR, "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required", 0,
	     true, HTTP_NO_TLS, "client_cert"},
	    {CURLE_SSL_CONNECT_ERROR, "OpenSSL SSL_connect: something else", 0, false, HTTP_NO_TLS,
	     "TLS: OpenSSL SSL_connect: something else"},
	    {CURLE_RECV_ERROR, "Recv failure: Connection reset by peer", 0, true, HTTP_BROKEN_OFF,
	     "connection reset by peer"},
	    {CURLE_SEND_ERROR, "Send failure: Broken pipe", 0, true, HTTP_BROKEN_OFF, "broken pipe"},
	    {CURLE_GOT_NOTHING, "Empty reply from server", 0, true, HTTP_BROKEN_OFF, "without an answer"},
	    {CURLE_PARTIAL_FILE, "transfer closed with 5 bytes remaining", 0, true, HTTP_BROKEN_OFF, "before the end"},
	    {CURLE_RECV_ERROR, "Illegal or missing hexadecimal sequence in chunked-encoding", 0, true, HTTP_REFUSED,
	     "chunks"},
	    {CURLE_RECV_ERROR, "CONNECT tunnel failed, response 407", 0, false, HTTP_DENIED, "407"},
	    {CURLE_RECV_ERROR, "CONNECT tunnel failed, response 502", 0, false, HTTP_NO_CONNECTION, "proxy"},
	    {CURLE_OUT_OF_MEMORY, "", 0, false, HTTP_FAILED, "memory"},
	    {CURLE_OUT_OF_MEMORY, "", 0, true, HTTP_REFUSED, "a line of the head is too long"},
	};
	(void)state;
	for (size_t i = 0; i < LEN(rows); i++) {
		struct reason why = {""};
		enum http_end end = http_end_of(rows[i].code, rows[i].text, rows[i].os_error, rows[i].connected, &why);
		if (end != rows[i].want || !strstr(why.text, rows[i].said))
			fail_msg("'%s' (%d) is %d: %s", rows[i].text, rows[i].code, end, why.text);
	}
}

static void test_errno_of_connections(void **state)
{
	(void)state;
	assert_int_equal(http_end_errno(CURLE_COULDNT_CONNECT, ECONNREFUSED), ECONNREFUSED);
	assert_int_equal(http_end_errno(CURLE_RECV_ERROR, ECONNRESET), ECONNRESET);
	assert_int_equal(http_end_errno(CURLE_SEND_ERROR, EPIPE), EPIPE);
	assert_int_equal(http_end_errno(CURLE_RECV_ERROR, 0), 0);
	assert_int_equal(http_end_errno(CURLE_PARTIAL_FILE, ECONNREFUSED), 0);
	assert_int_equal(http_end_errno(CURLE_OK, ECONNREFUSED), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ends),
	    cmocka_unit_test(test_errno_of_connections),
	};
	return cmocka_run_group_tests_name("fetchd http_end", tests, NULL, NULL);
}
